package reconcile

import (
	"strings"
	"testing"
)

// TestStories has the nasty cases of keeping folders the same, as people live
// them. Three nodes have the same at every "sync".
func TestStories(t *testing.T) {
	for _, test := range []struct{ name, story, tree, told string }{
		{"edit, edit", "A: write a.txt 1 | sync | A: write a.txt 2 | B: write a.txt 3", "a~B3.txt=3 a.txt=2", "content a.txt a~B3.txt"},
		{"edit, edit, edit", "A: write a 1 | sync | A: write a 2 | B: write a 3 | C: write a 4", "a=2 a~B3=3 a~C4=4", "content a a~B3 a~C4"},
		{"equal edits", "A: write a 1 | sync | A: write a 2 | B: write a 2", "a=2", ""},
		{"equal creates", "A: write a 1 | B: write a 1", "a=1", ""},
		{"create, create", "A: write a 1 | B: write a 2", "a=2 a~A1=1", "content a a~A1"},
		{"edit, delete", "A: write a 1 | sync | A: rm a | B: write a 2", "a=2", "delete a"},
		{"delete, delete", "A: write a 1 | sync | A: rm a | B: rm a", "", ""},
		{"delete, delete, edit", "A: write a 1 | sync | A: rm a | B: rm a | C: write a 2", "a=2", "delete a"},
		{"rename, delete", "A: write a 1 | sync | A: rm a | B: mv a b", "b=1", "delete b"},
		{"rename and delete, delete", "A: write a 1 | sync | A: rm a | B: mv a b | B: scan | B: rm b", "", ""},
		{"edit and delete, rename", "A: write a 1 | sync | A: write a 2 | A: scan | A: rm a | B: mv a b", "", ""},
		{"rename, edit", "A: write a 1 | sync | A: mv a b | B: write a 2", "b=2", ""},
		{"rename, two edits", "A: write a 1 | sync | A: mv a b | B: write a 2 | B: scan | B: write a 3", "b=3", ""},
		{"chmod, two edits", "A: write a 1 | sync | A: chmod a | B: write a 2 | B: scan | B: write a 3", "a=3", ""},
		{"rename, rename", "A: write a 1 | sync | A: mv a b | B: mv a c", "c=1", "name c b"},
		{"rename, rename to the same", "A: write a 1 | sync | A: mv a b | B: mv a b", "b=1", ""},
		{"two renamed to one name", "A: write a 1 | A: write b 2 | sync | A: mv a c | B: mv b c", "c=2 c~A1=1", "content c c~A1"},
		{"swap of files", "A: write a 1 | A: write b 2 | sync | A: swap a b | B: write a 3", "a=2 b=3", ""},
		{"swap of directories", "A: mkdir d | A: write d/a 1 | A: mkdir e | A: write e/b 2 | sync | A: swap d e | B: write d/a 3", "d/ d/b=2 e/ e/a=3", ""},
		{"swap of file and directory", "A: mkdir d | A: write d/a 1 | A: write f 2 | sync | A: swap d f", "d=2 f/ f/a=1", ""},
		{"swap of file and directory, edit", "A: mkdir d | A: write d/a 1 | A: write f 2 | sync | A: swap d f | B: write d/a 3 | B: write f 4", "d=4 f/ f/a=3", ""},
		{"file becomes directory, edit", "A: write a 1 | sync | A: rm a | A: mkdir a | A: write a/b 2 | B: write a 3", "a/ a~B3=3 a/b=2", "content a a~B3, delete a~B3"},
		{"directory becomes file, create inside", "A: mkdir a | A: write a/b 1 | sync | A: rm a | A: write a 2 | B: write a/c 3", "a/ a~A2=2 a/c=3", "content a a~A2, inside a"},
		{"delete of directory, create inside", "A: mkdir d | A: mkdir d/e | A: write d/e/x 1 | A: write d/y 2 | sync | A: rm d | B: write d/e/new 3", "d/ d/e/ d/e/new=3", "inside d, inside d/e"},
		{"delete of directory, edit inside", "A: mkdir d | A: mkdir d/e | A: write d/e/x 1 | A: write d/y 2 | sync | A: rm d | B: write d/e/x 3", "d/ d/e/ d/e/x=3", "inside d, inside d/e, delete d/e/x"},
		{"and the rest deleted later", "A: mkdir d | A: write d/x 1 | sync | A: rm d | B: write d/x 2 | sync | C: rm d/x", "d/", ""},
		{"move of directory, edit inside", "A: mkdir d | A: write d/x 1 | sync | A: mv d e | B: write d/x 2", "e/ e/x=2", ""},
		{"move of directory, create inside", "A: mkdir d | A: write d/x 1 | sync | A: mv d e | B: write d/y 2", "e/ e/x=1 e/y=2", ""},
		{"move of directory, delete", "A: mkdir d | A: write d/x 1 | sync | A: mv d e | B: rm d", "e/", "delete e"},
		{"move, move of directory", "A: mkdir d | A: write d/x 1 | sync | A: mv d e | B: mv d f", "e/ e/x=1", "name e f"},
		{"move into each other", "A: mkdir a | A: mkdir b | A: write a/x 1 | A: write b/y 2 | sync | A: mv a b/a | B: mv b a/b", "a/ a/b/ a/b/y=2 a/x=1", "move a"},
		{"move in a circle of three", "A: mkdir a | A: mkdir b | A: mkdir c | A: write a/x 1 | A: write b/y 2 | A: write c/z 3 | sync | A: mv a b/a | B: mv b c/b | C: mv c a/c", "a/ a/c/ a/c/b/ a/c/b/y=2 a/c/z=3 a/x=1", "move a"},
		{"move out of a deleted directory", "A: mkdir d | A: write d/x 1 | sync | A: rm d | B: mv d/x x", "x=1", "delete x"},
		{"move into a deleted directory", "A: mkdir d | A: write x 1 | sync | A: rm d | B: mv x d/x", "d/ d/x=1", "inside d"},
		{"case and Unicode twins are two files", "A: write foo 1 | B: write FOO 2 | C: write Foo 3", "FOO=2 Foo=3 foo=1", ""},
		{"state lost", "A: write a 1 | A: mkdir d | A: write d/x 2 | sync | B: lose", "a=1 d/ d/x=2", ""},
		{"state lost, edit elsewhere", "A: write a 1 | sync | B: lose | A: write a 2 | sync | C: write a 3", "a=3 a~B1=1", "content a a~B1"},
		{"state lost after delete: no deletes", "A: write a 1 | sync | B: lose | A: rm a", "a=1", ""},
		{"first sync of equal trees", "A: mkdir d | A: write d/x 1 | A: write y 2 | B: mkdir d | B: write d/x 1 | B: write y 2 | C: mkdir d | C: write d/x 1", "d/ d/x=1 y=2", ""},
		{"first sync of different trees", "A: mkdir d | A: write d/x 1 | B: mkdir d | B: write d/x 2 | B: write d/y 3", "d/ d/x=2 d/x~A1=1 d/y=3", "content d/x d/x~A1"},
		{"edit of a conflict copy", "A: write a 1 | sync | A: write a 2 | B: write a 3 | sync | C: mv a b | C: write b 4", "a~B3=3 b=4", ""},
		{"delete of the winner keeps the copy", "A: write a 1 | sync | A: write a 2 | B: write a 3 | sync | C: rm a", "a~B3=3", ""},
		{"edit of the winner keeps the copy", "A: write a 1 | sync | A: write a 2 | B: write a 3 | sync | A: write a 5 | sync | B: write a 6", "a=6 a~B3=3", ""},
		{"conflict in a conflict copy", "A: write a 1 | B: write b 2 | sync | A: mv a c | B: mv b c | sync | C: mv c x", "c~A1=1 x=2", ""},
		{"empty files", "A: write a 1 | B: write b 1 | sync | A: rm a | B: mv b c", "c=1", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			tree, told := story(t, test.story)
			if tree != test.tree || told != test.told {
				t.Errorf("%s\n got %s (%s)\nwant %s (%s)", test.story, tree, told, test.tree, test.told)
			}
		})
	}
}

// TestPlans has the plans of single nodes.
func TestPlans(t *testing.T) {
	for _, test := range []struct{ name, trees, plan string }{
		{"nothing", "base: a=1@A1 | disk: a=1 | global: a=1@A1", "nothing"},
		{"first scan", "base: | disk: d/ d/a=1 | global:", "[create d, create d/a]"},
		{"all is new", "base: | disk: | global: d/@B1 d/a=1@B2", "[] mkdir d, fetch d/a=1"},
		{"local edit", "base: a=1@A1 | disk: a=2 | global: a=1@A1", "[edit a]"},
		{"remote edit", "base: a=1@A1 | disk: a=1 | global: a=2@A1B1", "[] replace a=2"},
		{"edit, edit: remote wins", "base: a=1@A1 | disk: a=2 | global: a=3@A1B900", "[edit a] copy a → a~A2, replace a=3"},
		{"edit, edit: local wins", "base: a=1@A1 | disk: a=2 | global: a=3@A1B1", "[edit a] fetch a~B3=3"},
		{"equal edits", "base: a=1@A1 | disk: a=2 | global: a=2@A1B1", "nothing"},
		{"edit here, delete there", "base: a=1@A1 | disk: a=2 | global: -a=1@A1B1", "[edit a] note a"},
		{"delete here, edit there", "base: a=1@A1 | disk: | global: a=2@A1B1", "[delete a] fetch a=2"},
		{"delete there", "base: d/@A1 d/a=1@A2 | disk: d/ d/a=1 | global: -d/@A1B1 -d/a=1@A2B2", "[] trash d/a, trash d"},
		{"delete on both sides", "base: a=1@A1 | disk: | global: -a=1@A1B1", "nothing"},
		{"rename here, edit there", "base: a=1@A1 | disk: b=1#a | global: a=2@A1B1", "[move a b] replace b=2"},
		{"rename there, edit here", "base: a=1@A1 | disk: a=2 | global: a:b=1@A1^A1B1", "[edit a] move a → b"},
		{"rename and edit there", "base: a=1@A1 | disk: a=1 | global: a:b=2@A1B2^A1B1", "[] move a → b, replace b=2"},
		{"rename of a directory there: one move", "base: d/@A1 d/a=1@A2 d/b=2@A3 | disk: d/ d/a=1 d/b=2 | global: d:e/@A1^A1B1 d/a:e/a=1@A2 d/b:e/b=2@A3", "[] move d → e"},
		{"rename of a directory here: one version", "base: d/@A1 d/a=1@A2 d/b=2@A3 | disk: e/#d e/a=1#d/a e/b=2#d/b | global: d/@A1 d/a=1@A2 d/b=2@A3", "[move d e]"},
		{"rename by content, without inodes", "base: a=1@A1 | disk: b=1#new | global: a=1@A1", "[move a b]"},
		{"an editor's way to save", "base: a=1@A1 | disk: a=2#new a~=1#a | global: a=1@A1", "[edit a, create a~]"},
		{"swap there", "base: a=1@A1 b=2@A2 | disk: a=1 b=2 | global: a:b=1@A1^A1B1 b:a=2@A2^A2B2", "[] move a → aside/a, move b → a, move aside/a → b"},
		{"swap here", "base: a=1@A1 b=2@A2 | disk: a=2#b b=1#a | global: a=1@A1 b=2@A2", "[move b a, move a b]"},
		{"circle of three there", "base: a=1@A1 b=2@A2 c=3@A3 | disk: a=1 b=2 c=3 | global: a:b=1@A1^A1B1 b:c=2@A2^A2B2 c:a=3@A3^A3B3", "[] move a → aside/a, move c → a, move b → c, move aside/a → b"},
		{"directories into each other there", "base: a/@A1 a/b/@A2 | disk: a/ a/b/ | global: a/b:b/@A2^A2B1 a:b/a/@A1^A1B2", "[] move a/b → b, move a → b/a"},
		{"file becomes directory there", "base: a=1@A1 | disk: a=1 | global: -a=1@A1B1 n:a/@B2 m:a/b=2@B3", "[] trash a, mkdir a, fetch a/b=2"},
		{"directory becomes file there", "base: a/@A1 a/b=1@A2 | disk: a/ a/b=1 | global: -a/@A1B1 -a/b=1@A2B2 n:a=2@B3", "[] trash a/b, trash a, fetch a=2"},
		{"another file in its place", "base: a=1@A1 | disk: a=1 | global: -a=1@A1B1 n:a=2@B2", "[] replace a=2"},
		{"ignored file in a deleted directory", "base: d/@A1 d/a=1@A2 | disk: d/ d/a=1 d/x! | global: -d/@A1B1 -d/a=1@A2B2", "[] trash d/a, ! d: not removed: x in it is not shared"},
		{"ignored file in a moved directory goes along", "base: d/@A1 d/a=1@A2 | disk: d/ d/a=1 d/x! | global: d:e/@A1^A1B1 d/a:e/a=1@A2", "[] move d → e"},
		{"link in the way", "base: | disk: a! | global: a=1@B1 d/@B2", "[] mkdir d, ! a: something that is not shared is in the way"},
		{"directory behind a link now: nothing is deleted", "base: d/@A1 d/a=1@A2 | disk: d! | global: d/@A1 d/a=1@A2", "[] ! d: something that is not shared is in the way"},
		{"file not readable now", "base: a=1@A1 | disk: a! | global: a=2@A1B1", "[] ! a: something that is not shared is in the way"},
		{"something wants the place of what stays", "base: a=1@A1 | disk: a=1 b! | global: a:b=1@A1^A1B1", "[] ! b: something that is not shared is in the way"},
		{"directory not known yet", "base: a=1@A1 | disk: a=1 | global: a:x/a=1@A1^A1B1 y:x/y=2@B2", "[] ! y: its directory has not arrived, or its path is too long, ! a: its directory has not arrived, or its path is too long"},
		{"conflict arrives", "base: a=2@A1 | disk: a=2 | global: a=2@A1 n:a=3@B1", "[] fetch a~B3=3"},
		{"an own version that lost and is not on the disk is not covered by the next one", "base: a=3@A1B900 | disk: a=4 | global: a=3@A1B900 a=2@A1A5", "[edit a] fetch a~A2=2"},
		{"two entries became one: the row goes before the file", "base: x:a=1@A1 y:b=1@A2 | disk: a=1 b=1 | global: x:a=1@A1 y:a=1@A2^A2B1", "[] note b, trash b, note a"},
		{"deleted here, moved into a directory not known yet", "base: a=1@A1 | disk: | global: a:x/a=1@A1^A1B1", "[delete a] ! a: its directory has not arrived, or its path is too long"},
		{"an own edit not seen by another of the own", "base: | disk: | global: a=1@A1 a=2@B5", "[] fetch a=2, fetch a~A1=1"},
		{"joined with the same files", "base: | disk: d/ d/a=1 | global: d/@B1 d/a=1@B2", "nothing"},
		{"step done, row lost: fetched", "base: | disk: a=1 | global: a=1@B1", "nothing"},
		{"step done, row lost: moved", "base: a=1@A1 | disk: b=1#a | global: a:b=1@A1^A1B1", "nothing"},
		{"step done, row lost: trashed", "base: a=1@A1 | disk: | global: -a=1@A1B1", "nothing"},
		{"step done, row lost: replaced", "base: a=1@A1 | disk: a=2#new | global: a=2@A1B1", "nothing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLanguage(t)
			for section := range strings.SplitSeq(test.trees, "|") {
				name, text, _ := strings.Cut(strings.TrimSpace(section), ":")
				l.read(name, text)
			}
			plan := Reconcile(l.base, l.disk, l.global, Options{Author: Author{Member: memberOf("A"), Incarnation: 1, Counter: 99}})
			if got := l.plan(plan); got != test.plan {
				t.Errorf("%s\n got %s\nwant %s", test.trees, got, test.plan)
			}
		})
	}
}
