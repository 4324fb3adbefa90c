/** What a person set in this browser, besides the theme. */
const LETTERS = "sy.letters";

/** Whether single letters are shortcuts. Speech input and a resting hand may press them by accident (WCAG 2.1.4). */
export function lettersWanted(): boolean {
  try {
    return localStorage.getItem(LETTERS) !== "off";
  } catch {
    return true;
  }
}

export function wantLetters(on: boolean): void {
  try {
    if (on) localStorage.removeItem(LETTERS);
    else localStorage.setItem(LETTERS, "off");
  } catch {
    // Storage is refused (private window): the choice holds until the page is left.
  }
}
