/** The first line of every page that is generated as a whole. */
export const GENERATED =
  '<!-- Written by `npm run docs` from the program itself: change the program, not this page. -->'

/** The first line of every example. */
export const SCHEMA_LINE = '# yaml-language-server: $schema=../docs/bizon.schema.json\n'
