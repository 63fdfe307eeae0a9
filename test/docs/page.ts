/** The first line of every page that is generated as a whole. */
export const GENERATED =
  '<!-- Written by `npm run docs` from the program itself: change the program, not this page. -->'
