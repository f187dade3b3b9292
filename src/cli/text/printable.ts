/**
 * Foreign text made safe for a terminal: control characters (C0, DEL, C1), what reverses or
 * hides the direction of text, line and paragraph separators and unpaired surrogates are shown
 * as escapes. A name could otherwise move the cursor, retitle the window or forge a line.
 */
const UNSAFE =
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Cs}/gu

const SHORT: ReadonlyMap<string, string> = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
])

export function printable(text: string): string {
  return text.replace(UNSAFE, (character) => {
    const short = SHORT.get(character)
    if (short !== undefined) return short
    const hex = character.charCodeAt(0).toString(16)
    return hex.length <= 2 ? `\\x${hex.padStart(2, '0')}` : `\\u{${hex}}`
  })
}

/** JSON on one line that means the same and is as safe to look at. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value).replace(
    UNSAFE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
