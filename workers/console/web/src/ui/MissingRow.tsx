import { Button } from "./Button";
import type { Failure } from "./ErrorState";
import { Banner } from "./feedback";

/** The row that the address names is not to be had; the list is there all the same. */
export function MissingRow({ what, error, onClose }: { what: string; error: Failure | null; onClose: () => void }) {
  if (error === null) return null;
  return (
    <Banner
      tone="warn"
      title={`The ${what} in the address cannot be shown`}
      action={
        <Button size="sm" onClick={onClose}>
          Show the list
        </Button>
      }
    >
      {error.status === 404 ? "It does not exist any more, or it is not yours to see." : error.message}
    </Banner>
  );
}
