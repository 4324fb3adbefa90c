/** Colours for code: strings, numbers, words, comments. Plain spans, no inline style, no grammar to download. */
export type TokenKind = "plain" | "string" | "number" | "keyword" | "comment";

export interface Token {
  kind: TokenKind;
  text: string;
}

const TOKEN =
  /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|(\/\/[^\n]*|(?<=^|\s)#[^\n]*)|(\b\d+(?:\.\d+)?\b)|\b(const|let|await|async|import|from|new|if|throw|return|with|as|print|json|os|true|false|null|True|False|None|curl|fn|use)\b/gm;

/** All of `code`, in order: the texts joined are the code. */
export function tokens(code: string): Token[] {
  const found: Token[] = [];
  let end = 0;
  for (const match of code.matchAll(TOKEN)) {
    if (match.index > end) found.push({ kind: "plain", text: code.slice(end, match.index) });
    const kind = match[1] !== undefined ? "string" : match[2] !== undefined ? "comment" : match[3] !== undefined ? "number" : "keyword";
    found.push({ kind, text: match[0] });
    end = match.index + match[0].length;
  }
  if (end < code.length) found.push({ kind: "plain", text: code.slice(end) });
  return found;
}
