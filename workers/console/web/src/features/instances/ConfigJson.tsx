import { useState } from "react";
import { equal, Field, TextArea } from "../../ui";
import { type Doc, parseObject } from "./model";

interface ConfigJsonProps {
  doc: Doc;
  onDoc: (doc: Doc) => void;
  /** What cannot be read; `undefined` when it can. */
  onError: (rule: string | undefined) => void;
  readOnly: boolean;
}

/** The same document as text; what is typed stays as it is typed while it says the same. */
export function ConfigJson({ doc, onDoc, onError, readOnly }: ConfigJsonProps) {
  const [text, setText] = useState(() => JSON.stringify(doc, null, 2));
  const [error, setError] = useState<string | undefined>(undefined);
  const parsed = parseObject(text);
  const shown = "error" in parsed ? (error === undefined ? JSON.stringify(doc, null, 2) : text) : equal(parsed.value, doc) ? text : JSON.stringify(doc, null, 2);
  return (
    <Field label="Configuration as JSON" error={error}>
      <TextArea
        mono
        rows={28}
        readOnly={readOnly}
        spellCheck={false}
        value={shown}
        onValue={(typed) => {
          const next = parseObject(typed);
          const rule = "error" in next ? next.error : undefined;
          setText(typed);
          setError(rule);
          onError(rule);
          if ("value" in next) onDoc(next.value);
        }}
      />
    </Field>
  );
}
