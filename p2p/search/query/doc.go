// Package query is the language in which people say what they look for.
//
//	network peers           both words; each may be mistyped, the last be only begun
//	"network of peers"      these words one after the other, exactly
//	netw*                   words that begin so
//	apples OR pears         either; binds less than AND, which may be left out
//	-draft, NOT draft       not this word
//	(apples OR pears) -pie  parentheses put together
//	ext:pdf  type:image  folder:photos  node:alice     properties; several with commas
//	name:report  title:"annual report"                  words of the name or title
//	size:>10mb  size:1mb..20mb  modified:2024..2025     ranges, ends included
//	modified:>2026-01-01  modified:<=2025-06            after that day; up to the end of June
//	fields.year:1960..1970  fields.stars:>4.5           numbers in fields of a document's own
//
// # What is text
//
// People also paste what was never meant as a query: file names, error messages,
// code, half a sentence. So a sign means something only where nothing else could
// be meant, and is text otherwise:
//
//   - AND, OR and NOT are capital letters and stand between what they join; at
//     the beginning or end they are words.
//   - A quote opens a phrase at the beginning of a word and if another quote
//     follows: 5" disk is two words.
//   - A minus excludes what stands directly behind it, at the beginning of a word:
//     wi-fi, "a - b" and --flag have none that does. -5 excludes 5.
//   - A parenthesis groups at the beginning of a word and if it is closed: main()
//     and :( are text.
//   - A star is a prefix at the end of a word.
//   - A colon behind the name of a field, and directly before a value, makes a
//     condition. Any other is text: 10:30, http://example.org, std::vector, and
//     also "size: 10".
//
// What remains is refused with an [Error] that says where and what was expected: a
// size, a date or a range that is none, a parenthesis that is not closed although
// an operator follows it, and more of anything than the limits allow.
//
// An expression's String is in the same language and means the same: parsed
// again it is the same expression.
package query
