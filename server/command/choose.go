package command

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/server/api"
)

// errNoSuch: what was named is not there.
var errNoSuch = errors.New("not found")

// leastPrefix is how much of an ID is enough to name a member by it, if no other's
// begins so.
const leastPrefix = 4

// member returns the ID of the member that text names: by its name, its ID or the
// first characters of it.
func (c *console) member(text string) (string, error) {
	var list api.MemberList
	if _, err := c.get("/api/members", nil, &list, false); err != nil {
		return "", err
	}
	var named, begins []string
	for _, m := range list.Items {
		switch {
		case m.Id == text:
			return m.Id, nil
		case m.Name == text:
			named = append(named, m.Id)
		case len(text) >= leastPrefix && strings.HasPrefix(m.Id, text):
			begins = append(begins, m.Id)
		}
	}
	found := append(named, begins...)
	if len(named) == 1 {
		found = named
	}
	switch len(found) {
	case 0:
		if _, err := p2p.ParseID(text); err == nil {
			return text, nil // of one that was a member
		}
		return "", outcome{errNoSuch, fmt.Sprintf("no member is called %s: shoal members lists them", text)}
	case 1:
		return found[0], nil
	}
	return "", UsageError{fmt.Sprintf("%s may be any of %s: take the ID", text, enumerate(found))}
}

// kept returns the folders that are kept here.
func (c *console) kept() ([]api.Folder, error) {
	var list api.FolderList
	if _, err := c.get("/api/folders", nil, &list, false); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(f api.Folder) bool { return f.State == api.FolderStateOffered }), nil
}

// theFolder is the folder that a verb is for when none is named: the only one.
func theFolder(verb string, kept []api.Folder) (string, error) {
	switch len(kept) {
	case 0:
		return "", outcome{errNoSuch, "no folder is kept here: shoal folders lists what others offer"}
	case 1:
		return kept[0].Id, nil
	}
	labels := make([]string, len(kept))
	for i, f := range kept {
		labels[i] = f.Label
	}
	return "", UsageError{fmt.Sprintf("%s: which folder? %s are kept here", verb, enumerate(labels))}
}

// folderOr returns the folder that is named, or else the only one.
func (c *console) folderOr(verb, name string) (string, error) {
	if name != "" {
		return name, nil
	}
	kept, err := c.kept()
	if err != nil {
		return "", err
	}
	return theFolder(verb, kept)
}

// folderAndNumbers reads [FOLDER] [N…]. A number in the place of the folder is one
// only if a folder kept here is called so; else it is the first of the numbers.
func (c *console) folderAndNumbers(verb, first string, args []string) (id string, numbers []int64, err error) {
	if first != "" {
		args = append([]string{first}, args...)
	}
	if len(args) > 0 && !isNumber(args[0]) {
		id, args = args[0], args[1:]
	} else {
		kept, err := c.kept()
		if err != nil {
			return "", nil, err
		}
		called := func(f api.Folder) bool { return len(args) > 0 && (f.Label == args[0] || f.Id == args[0]) }
		if slices.ContainsFunc(kept, called) {
			id, args = args[0], args[1:]
		} else if id, err = theFolder(verb, kept); err != nil {
			return "", nil, err
		}
	}
	for _, text := range args {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return "", nil, UsageError{fmt.Sprintf("%s: %s: not a number of its list", verb, text)}
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return id, slices.Compact(numbers), nil
}

func isNumber(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }
