/** Writes: one hook for the call, its lists, its notice; and the key that makes a second click harmless. */
import { type MutationOptions, type QueryClient, type UseMutationResult, useMutation, useQueryClient } from "@tanstack/react-query";
import { useCallback, useRef } from "react";
import { type ApiError, asApiError } from "./errors";
import { invalidate, type Write } from "./keys";

export interface WriteOptions<Input, Output> {
  /** Names the lists that become old: a row of `invalidations`. */
  write: Write;
  send: (input: Input) => Promise<Output>;
  /** After the lists are fresh. */
  onDone?: (output: Output, input: Input) => void;
}

export type WriteResult<Input, Output> = UseMutationResult<Output, ApiError, Input>;

/** A mutation whose error is an `ApiError`; it is never repeated by code. */
export function useWrite<Input, Output>(options: WriteOptions<Input, Output>): WriteResult<Input, Output> {
  return useMutation(writing(useQueryClient(), options));
}

export function writing<Input, Output>(client: QueryClient, options: WriteOptions<Input, Output>): MutationOptions<Output, ApiError, Input> {
  return {
    // What was sent may hold a key: it is forgotten with the form.
    gcTime: 0,
    mutationFn: async (input) => {
      try {
        return await options.send(input);
      } catch (error) {
        throw asApiError(error);
      }
    },
    retry: false,
    onSuccess: async (output, input) => {
      await invalidate(client, options.write);
      options.onDone?.(output, input);
    },
    onError: async (error) => {
      // Somebody was faster, so what the page shows is old: read it before the conflict is shown.
      if (error.status === 412) await invalidate(client, options.write);
    },
  };
}

/**
 * The `Idempotency-Key` of a form: made with its first content, equal while the content is equal, new after a success
 * (call `renew`). So a second click, a lost answer and "Try again" are one job, and "Generate again" is another.
 */
export function useIdempotencyKey(): { keyFor: (content: unknown) => string; renew: () => void } {
  const memory = useRef<{ key: string; content: string } | null>(null);
  const keyFor = useCallback((content: unknown) => {
    const text = JSON.stringify(content);
    if (memory.current?.content !== text) memory.current = { key: crypto.randomUUID(), content: text };
    return memory.current.key;
  }, []);
  const renew = useCallback(() => {
    memory.current = null;
  }, []);
  return { keyFor, renew };
}
