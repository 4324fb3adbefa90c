import { useState } from "react";
import { snippets } from "../../api/snippets";
import { duration } from "../../format/duration";
import { bytes } from "../../format/bytes";
import { money } from "../../format/money";
import { Badge, Banner, CodeTabs, CopyField, CopyTextButton, cx, Facts, Id, JsonTree, Panel, Tabs } from "../../ui";
import { basisOf, fellBack, type GenerateRequest, type GenerateResponse, sentence, usedOf } from "./model";
import { Picture } from "./Picture";
import type { Caller } from "./queries";
import type { Stage } from "./stages";
import { StageStrip } from "./StageStrip";

export type ResultTab = "picture" | "json" | "code";

/** The call as code; without the prompt's request there is none to show. */
export function codeOf(body: GenerateRequest, instanceId: string | undefined): Record<string, string> {
  return snippets(
    {
      method: "POST",
      path: "/api/image-gen/generate",
      ...(instanceId === undefined ? {} : { headers: { "X-Instance-ID": instanceId } }),
      body,
    },
    location.origin,
  );
}

export interface ResultViewProps {
  caller: Caller;
  instanceId: string | undefined;
  result: GenerateResponse;
  /** What was asked, when this page asked it. */
  asked: GenerateRequest | null;
  tookMs?: number | undefined;
  /** Where its time went. */
  stages: readonly Stage[];
  totalMs?: number | undefined;
  /** Option names in words. */
  labels: Readonly<Record<string, string>>;
  tab: ResultTab;
  onTab: (tab: ResultTab) => void;
}

export function ResultView(props: ResultViewProps) {
  const { result, asked, tab, onTab, instanceId } = props;
  const code = asked === null ? null : codeOf(asked, instanceId);
  return (
    <Panel
      title="Picture ready"
      lead={`${result.metadata.provider} / ${result.metadata.model} in ${duration(result.metadata.generation_time_ms)}`}
      actions={code !== null && <CopyTextButton text={code["curl"] ?? ""} what="curl command" label="Copy as curl" />}
    >
      <Tabs
        label="Result"
        value={tab === "code" && code === null ? "picture" : tab}
        onValue={onTab}
        tabs={[{ id: "picture", label: "Picture" }, { id: "json", label: "JSON" }, ...(code === null ? [] : [{ id: "code" as const, label: "Code" }])]}
      >
        {tab === "json" ? <JsonTree value={result} what="answer" /> : tab === "code" && code !== null ? <CodeTabs code={code} /> : <Shown {...props} />}
      </Tabs>
    </Panel>
  );
}

function Shown({ caller, instanceId, result, asked, tookMs, labels, stages, totalMs }: ResultViewProps) {
  const [chosen, setChosen] = useState(0);
  const image = result.images[chosen] ?? result.images[0];
  const address = image?.image_url ?? result.image_url;
  const path = image?.r2_path ?? result.r2_path;
  const dimensions = image?.dimensions ?? result.metadata.dimensions;
  return (
    <div className="flex min-w-0 flex-col gap-5">
      {fellBack(result, asked) && (
        <Banner tone="info" title={`${result.metadata.provider} / ${result.metadata.model} drew it instead`}>
          The model that was asked for could not; the instance's fallback took over.
        </Banner>
      )}
      {result.withheld > 0 && (
        <Banner tone="warn" title={`${result.withheld} of the pictures were kept back by the provider`}>
          Its safety filter refused them. Change the prompt to get them all.
        </Banner>
      )}
      <Picture key={path} caller={caller} instanceId={instanceId} r2Path={path} dimensions={dimensions} alt={asked?.prompt ?? "Generated picture"} />
      {result.images.length > 1 && (
        <div role="group" aria-label="Pictures" className="flex flex-wrap justify-center gap-1.5">
          {result.images.map((other, at) => (
            <button
              key={other.image_id}
              type="button"
              aria-pressed={at === chosen}
              onClick={() => setChosen(at)}
              className="min-h-7 min-w-7 rounded-md border border-line px-2 text-sm text-muted hover:bg-hover aria-pressed:border-accent aria-pressed:bg-selected aria-pressed:font-medium aria-pressed:text-text"
            >
              <span className="sr-only">Picture </span>
              {at + 1}
            </button>
          ))}
        </div>
      )}
      <StageStrip stages={stages} totalMs={totalMs} />
      <div className="flex flex-col gap-3">
        <CopyField label="CDN URL" text={address} />
        <CopyField label="R2 path" text={path} />
      </div>
      <Facts
        columns={3}
        facts={[
          { name: "Provider", value: result.metadata.provider },
          { name: "Model", value: result.metadata.model },
          { name: "Dimensions", value: dimensions },
          { name: "Generation time", value: duration(result.metadata.generation_time_ms) },
          ...(tookMs === undefined ? [] : [{ name: "Until the answer", value: duration(tookMs) }]),
          { name: "Cost", value: <Cost result={result} /> },
          { name: "Attempts", value: String(result.attempts) },
          { name: "Format", value: image === undefined ? result.metadata.format : `${image.format}, ${bytes(image.size_bytes)}` },
          { name: "Seed", value: seedOf(image?.seed ?? result.metadata.seed) },
          ...(image === undefined ? [] : [{ name: "Quality check", value: sentence(image.quality) }]),
          { name: "Request id", value: <Id id={result.request_id} what="request id" /> },
          { name: "Job", value: <Id id={result.job_id} what="job id" /> },
          ...(image?.revised_prompt === undefined ? [] : [{ name: "Prompt as revised", value: image.revised_prompt }]),
        ]}
      />
      <Used result={result} asked={asked} labels={labels} />
    </div>
  );
}

function seedOf(seed: number | null | undefined): string {
  return seed === null || seed === undefined ? "–" : String(seed);
}

function Cost({ result }: { result: GenerateResponse }) {
  const unknown = result.cost_usd_micros === null;
  return (
    <span className="flex flex-col">
      <span className={cx("tabular-nums", unknown && "text-warn")}>{money(result.cost_usd_micros)}</span>
      {basisOf(result) !== "" && <span className="text-sm text-muted">{basisOf(result)}</span>}
    </span>
  );
}

/** What was asked, and what was used. */
function Used({ result, asked, labels }: Pick<ResultViewProps, "result" | "asked" | "labels">) {
  const rows = usedOf(result, asked);
  const loose = result.warnings.filter((warning) => warning.option === undefined);
  if (rows.length === 0 && loose.length === 0) return null;
  return (
    <section aria-labelledby="used" className="flex min-w-0 flex-col gap-2">
      <h3 id="used" className="text-base font-semibold">
        Options
      </h3>
      {rows.length > 0 && (
        <table className="w-full table-fixed text-left text-sm">
          <thead className="text-muted">
            <tr className="border-b border-line">
              <th scope="col" className="py-1.5 pr-3 font-medium">Option</th>
              <th scope="col" className="py-1.5 pr-3 font-medium">Asked</th>
              <th scope="col" className="py-1.5 font-medium">Used</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.option} className="border-b border-line align-top last:border-0">
                <th scope="row" className="py-1.5 pr-3 font-normal break-words">{labels[row.option] ?? sentence(row.option)}</th>
                <td className="py-1.5 pr-3 break-words text-muted">{row.asked === "" ? "–" : row.asked}</td>
                <td className="py-1.5 break-words">
                  {row.used === "" ? "–" : row.used} {row.note !== "" && <Badge tone="warn">{row.note}</Badge>}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {loose.length > 0 && (
        <ul className="flex flex-wrap gap-1.5">
          {loose.map((warning, at) => (
            <li key={at}>
              <Badge tone="warn" dot>
                {sentence(warning.code)}
              </Badge>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
