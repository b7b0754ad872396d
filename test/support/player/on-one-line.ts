import { parseDocument, visit } from 'yaml'

/**
 * Writes every text of a YAML document on one line. Of a text of several lines with a `${{ }}` in it, GitHub's
 * parser (0.3.61) takes the file's own lines, indented and not folded, where GitHub takes the text.
 *
 * @param yaml which the parser reads: the lines that its messages name are those of the file
 */
export function onOneLine(yaml: string): string {
  const document = parseDocument(yaml)
  visit(document, {
    Scalar(_, node) {
      if (typeof node.value === 'string') node.type = 'QUOTE_DOUBLE'
    },
  })
  return document.toString({ lineWidth: 0, doubleQuotedAsJSON: true })
}
