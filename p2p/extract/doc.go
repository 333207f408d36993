// Package extract reads the text of files of any kind, for search.
//
// Files come from anybody, so a [Reader] reads plain text and pages of HTML
// itself, which costs no more than their first [search.MaxText] bytes, and gives
// everything that has to be unpacked or interpreted to a child: another process
// of the same program that calls [Serve]. The child has no file and no
// descriptor but its three pipes. It asks its parent for parts of the one file
// that it is to read, and gives back a text. Before the first file it lets go of
// everything else:
//
//   - memory is limited by the garbage collector (what the heap should have), by
//     a look at the heap every few milliseconds, and where the system can by its
//     limit (RLIMIT_DATA; a job object on Windows);
//   - time of the processor is limited for each file, and the parent's clock
//     limits the time that passes;
//   - it can open no further descriptor: on Unix because their limit is 0, and
//     on Linux also because Landlock allows no file and no port and a filter of
//     system calls knows none that opens, connects, executes or signals others.
//
// One child reads many files, one after the other. It is ended after a failure,
// after some hundreds of files and when there is nothing to do. What cannot be
// read has a [Reason], which is no error: the file is found by its name.
package extract
