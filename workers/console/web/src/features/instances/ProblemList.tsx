/** What config-service refused, member by member; with `onGo` each leads to where it is corrected. */
export function ProblemList({ problems, onGo }: { problems: readonly { pointer: string; rule: string }[]; onGo?: (pointer: string) => void }) {
  return (
    <ul aria-label="Problems" className="flex w-full flex-col gap-1 text-sm">
      {problems.map((problem) => (
        <li key={`${problem.pointer} ${problem.rule}`}>
          {onGo === undefined ? (
            <code className="break-all">{problem.pointer}</code>
          ) : (
            <button type="button" className="min-h-6 text-left text-link underline underline-offset-2" onClick={() => onGo(problem.pointer)}>
              <code className="break-all">{problem.pointer}</code>
            </button>
          )}{" "}
          {problem.rule}
        </li>
      ))}
    </ul>
  );
}
