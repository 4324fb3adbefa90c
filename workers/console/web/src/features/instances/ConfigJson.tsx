import { useState } from "react";
import { equal, Field, TextArea } from "../../ui";
import { type Doc, parseObject } from "./model";

interface ConfigJsonProps {
  doc: Doc;
  onDoc: (doc: Doc) => void;
  /** A text of before that could not be read: it stays while the form is looked at. */
  unread: string | null;
  /** What is typed, while it cannot be read; `null` when it can. */
  onUnread: (text: string | null) => void;
  readOnly: boolean;
}

/** The same document as text; what is typed stays as it is typed while it says the same. */
export function ConfigJson({ doc, onDoc, unread, onUnread, readOnly }: ConfigJsonProps) {
  const [text, setText] = useState(() => unread ?? JSON.stringify(doc, null, 2));
  const parsed = parseObject(text);
  const shown = "error" in parsed || equal(parsed.value, doc) ? text : JSON.stringify(doc, null, 2);
  return (
    <Field label="Configuration as JSON" error={"error" in parsed ? parsed.error : undefined}>
      <TextArea
        mono
        rows={28}
        readOnly={readOnly}
        spellCheck={false}
        value={shown}
        onValue={(typed) => {
          const next = parseObject(typed);
          setText(typed);
          onUnread("error" in next ? typed : null);
          if ("value" in next) onDoc(next.value);
        }}
      />
    </Field>
  );
}
