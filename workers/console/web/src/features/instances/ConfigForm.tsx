import { useState } from "react";
import { Button, Dialog, EmptyState, Field, IconButton, Panel, Select, TextInput } from "../../ui";
import { FieldControl } from "./FieldControl";
import { type FieldSpec, providerFields, providersOf, SECTIONS } from "./fields";
import { PROVIDERS } from "./create";
import { at, type Doc, idProblem, pointerOf, type Problems, withAt } from "./model";

interface ConfigFormProps {
  doc: Doc;
  onDoc: (doc: Doc) => void;
  problems: Problems;
  disabled: boolean;
}

export function ConfigForm({ doc, onDoc, problems, disabled }: ConfigFormProps) {
  const [adding, setAdding] = useState(false);
  const providers = providersOf(doc);
  const fields = (specs: readonly FieldSpec[]) => (
    <div className="grid items-end gap-x-6 gap-y-4 sm:grid-cols-2">
      {specs.map((spec) => (
        <FieldControl
          key={spec.pointer}
          spec={spec}
          value={at(doc, spec.pointer)}
          onValue={(value) => onDoc(withAt(doc, spec.pointer, value))}
          error={problems[spec.pointer]}
          disabled={disabled}
          providers={providers}
        />
      ))}
    </div>
  );
  return (
    <>
      {SECTIONS.map((section) => (
        <Panel key={section.id} title={section.title} lead={section.lead}>
          {fields(section.fields)}
        </Panel>
      ))}
      <Panel
        title="Providers"
        lead="Where requests are sent. Their keys are on the tab Provider keys."
        actions={!disabled && <Button size="sm" icon="plus" onClick={() => setAdding(true)}>Add provider</Button>}
      >
        {providers.length === 0 ? (
          <EmptyState icon="stack" title="No provider is configured">An adapter with a key works with its own settings; add it here to change them.</EmptyState>
        ) : (
          <ul className="flex flex-col divide-y divide-line">
            {providers.map((name) => (
              <li key={name} className="flex flex-col gap-4 py-5 first:pt-0 last:pb-0">
                <div className="flex items-center justify-between gap-3">
                  <h3 className="font-mono text-base font-semibold">{name}</h3>
                  {!disabled && <IconButton icon="trash" size="sm" label={`Remove ${name}`} onClick={() => onDoc(withAt(doc, pointerOf("providers", name), undefined))} />}
                </div>
                {fields(providerFields(name))}
              </li>
            ))}
          </ul>
        )}
      </Panel>
      {adding && (
        <AddProvider
          taken={providers}
          onClose={() => setAdding(false)}
          onAdd={(name, adapter) => {
            onDoc(withAt(doc, pointerOf("providers", name), adapter === name ? { enabled: true } : { enabled: true, adapter }));
            setAdding(false);
          }}
        />
      )}
    </>
  );
}

function AddProvider({ taken, onClose, onAdd }: { taken: readonly string[]; onClose: () => void; onAdd: (name: string, adapter: string) => void }) {
  const [adapter, setAdapter] = useState<string>(PROVIDERS.find((provider) => !taken.includes(provider.name))?.name ?? PROVIDERS[0].name);
  const [typed, setTyped] = useState<string | null>(null);
  const [tried, setTried] = useState(false);
  const name = typed ?? adapter;
  const problem = idProblem(name) ?? (taken.includes(name) ? "There is a provider of this name already." : undefined);
  return (
    <Dialog
      open
      size="sm"
      title="Add provider"
      onClose={onClose}
      onSubmit={() => {
        setTried(true);
        if (problem === undefined) onAdd(name, adapter);
      }}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" tone="primary">Add</Button>
        </>
      }
    >
      <div className="flex flex-col gap-4">
        <Field label="Adapter" help="The vendor's interface that it speaks.">
          <Select value={adapter} onValue={setAdapter} options={PROVIDERS.map(({ name: value, label }) => ({ value, label }))} />
        </Field>
        <Field label="Name" help="Names it in requests, limits and keys." error={tried ? problem : undefined}>
          <TextInput mono value={name} onValue={setTyped} />
        </Field>
      </div>
    </Dialog>
  );
}
