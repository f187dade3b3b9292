/** Columns that a terminal gives to a text without control characters. */

const GRAPHEMES = new Intl.Segmenter('en', { granularity: 'grapheme' })
/** East Asian scripts, full-width forms and emoji shown as pictures. */
const WIDE =
  /^(?:[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|\p{Extended_Pictographic}\ufe0f)/u
/** Marks and formats that stand alone, without a character to sit on. */
const ZERO = /^[\p{Mn}\p{Me}\p{Cf}]+$/u
const ASCII = /^[\u0020-\u007e]*$/

export function displayWidth(text: string): number {
  if (ASCII.test(text)) return text.length
  let width = 0
  for (const { segment } of GRAPHEMES.segment(text)) width += graphemeWidth(segment)
  return width
}

function graphemeWidth(segment: string): number {
  if (ZERO.test(segment)) return 0
  return WIDE.test(segment) ? 2 : 1
}

/** At most `columns` wide; what is cut is shown by "…". */
export function fitWidth(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text
  if (columns < 1) return ''
  let kept = ''
  let width = 0
  for (const { segment } of GRAPHEMES.segment(text)) {
    width += graphemeWidth(segment)
    if (width > columns - 1) break
    kept += segment
  }
  return `${kept}…`
}

/** At most `columns` wide: both ends are kept, and "…" stands for what is cut between them. */
export function fitMiddle(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text
  if (columns < 1) return ''
  const end = lastColumns(text, Math.floor((columns - 1) / 2))
  return fitWidth(text, columns - displayWidth(end)) + end
}

function lastColumns(text: string, columns: number): string {
  const segments = Array.from(GRAPHEMES.segment(text), ({ segment }) => segment)
  let from = segments.length
  for (let width = 0; from > 0; from--) {
    width += graphemeWidth(segments[from - 1] ?? '')
    if (width > columns) break
  }
  return segments.slice(from).join('')
}
