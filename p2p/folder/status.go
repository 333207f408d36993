package folder

import (
	"cmp"
	"strings"
	"time"
)

// progressPause is the least time between two events that differ only in numbers
// while a folder is being synchronised.
const progressPause = 200 * time.Millisecond

// set changes fields and tells everybody who waits for a change, and the public
// if it can see one.
func (sh *share) set(change func()) { sh.alter(change, false) }

// alter is set; with news the public is told in any case.
func (sh *share) alter(change func(), news bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.turn(change)
	if now := sh.changed(); news || now != sh.told {
		sh.publish(now)
	}
}

// pace is set; of mere progress the public is told a little later if it was told
// something just before.
func (sh *share) pace(change func()) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.turn(change)
	now := sh.changed()
	rest := progressPause - time.Since(sh.at)
	switch {
	case now == sh.told:
	case now.fixed() != sh.told.fixed() || rest <= 0:
		sh.publish(now)
	case sh.late == nil:
		sh.late = time.AfterFunc(rest, sh.catchUp)
	}
}

// catchUp tells the public what was held back.
func (sh *share) catchUp() { sh.set(func() {}) }

// turn changes fields. The caller holds sh.mu.
func (sh *share) turn(change func()) {
	change()
	close(sh.turned)
	sh.turned = make(chan struct{})
}

// publish tells the public. The caller holds sh.mu.
func (sh *share) publish(now Changed) {
	if sh.late != nil {
		sh.late.Stop()
		sh.late = nil
	}
	sh.told, sh.at = now, time.Now()
	// Publish never blocks, and in here the events keep their order.
	sh.service.options.Publish.Emit(now)
}

// fixed is c without what changes with progress.
func (c Changed) fixed() Changed {
	c.Files, c.Bytes, c.NeedFiles, c.NeedBytes = 0, 0, 0, 0
	return c
}

// changed describes the folder as an event. The caller holds sh.mu.
func (sh *share) changed() Changed {
	state, fault := sh.shown()
	return Changed{
		ID: sh.rec.ID, Label: sh.rec.Label, State: state, Access: sh.rec.Access,
		Files: int(sh.files), Bytes: sh.bytes, Error: fault, Warning: sh.warnings(),
		NeedFiles: sh.status.NeedFiles, NeedBytes: sh.status.NeedBytes, Conflicts: sh.status.Conflicts,
	}
}

func (sh *share) snapshot() Folder {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	state, fault := sh.shown()
	return Folder{
		ID: sh.rec.ID, Label: sh.rec.Label, Path: sh.rec.Path, Access: sh.rec.Access, Grants: sh.rec.Grants, Created: sh.rec.Created,
		State: state, Paused: sh.rec.Paused, Files: int(sh.files), Bytes: sh.bytes, Error: fault, Warning: sh.warnings(),
		Skipped: sh.skips.len(), Scanned: sh.scanned, Creator: sh.rec.Creator,
		NeedFiles: sh.status.NeedFiles, NeedBytes: sh.status.NeedBytes, Conflicts: sh.status.Conflicts,
	}
}

// shown merges the state of the scan and that of the synchronisation: what a person
// has to do something about goes first. The caller holds sh.mu.
func (sh *share) shown() (s State, fault string) {
	switch {
	case sh.state == StateError || sh.status.Error != "":
		return StateError, cmp.Or(sh.fault, sh.status.Error)
	case sh.state == StatePaused:
		return StatePaused, ""
	case sh.status.State == StateHeld:
		return StateHeld, ""
	case sh.state == StateIdle && sh.status.State == StateSyncing:
		return StateSyncing, ""
	}
	return sh.state, ""
}

// warnings joins all there are. The caller holds sh.mu.
func (sh *share) warnings() string {
	var all []string
	for _, w := range []string{sh.status.Warning, sh.warning, sh.behind} {
		if w != "" {
			all = append(all, w)
		}
	}
	return strings.Join(all, " ")
}

// setStatus takes over what is said about the synchronisation.
func (sh *share) setStatus(st Status) {
	failed := false
	sh.pace(func() {
		failed = st.Error != "" && st.Error != sh.status.Error
		sh.status = st
	})
	if failed {
		r := sh.record()
		sh.service.options.Publish.Emit(Failed{ID: r.ID, Label: r.Label, Error: st.Error, Time: time.Now()})
	}
}

func (sh *share) setBusy(busy bool) { sh.set(func() { sh.busy = busy }) }

func (sh *share) isBusy() bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.busy
}
