package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-p2p/shoal/p2p/member"
)

// Member keeps the roster and the invitations of this node.
func (s *Store) Member() member.Store { return memberStore{s.state} }

type memberStore struct{ db *DB }

// Load implements member.Store.
func (m memberStore) Load() (member.State, error) {
	var state member.State
	ctx := context.Background()
	err := m.db.Read(ctx, func(q Queryer) error {
		err := q.QueryRowContext(ctx, `SELECT network FROM member_network`).Scan(bytesInto(state.Network[:]))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if state.Statements, err = memberStatements(ctx, q); err != nil {
			return err
		}
		if state.Invites, err = memberInvites(ctx, q); err != nil {
			return err
		}
		state.Redemptions, err = memberRedemptions(ctx, q)
		return err
	})
	if err != nil {
		return member.State{}, fmt.Errorf("store: load roster: %w", err)
	}
	return state, nil
}

func memberStatements(ctx context.Context, q Queryer) ([]member.Statement, error) {
	return collect(ctx, q, func(scan func(...any) error) (st member.Statement, err error) {
		return st, scan(&st.Kind, &st.Body, &st.Sig)
	}, `SELECT kind, body, sig FROM member_statement ORDER BY seq`)
}

func memberInvites(ctx context.Context, q Queryer) ([]member.Invite, error) {
	return collect(ctx, q, func(scan func(...any) error) (in member.Invite, err error) {
		var created, expires int64
		err = scan(bytesInto(in.ID[:]), bytesInto(in.Secret[:]), &in.Role, &in.MaxUses, &created, &expires, &in.Ended)
		in.Created, in.Expires = time.Unix(created, 0).UTC(), time.Unix(expires, 0).UTC()
		return in, err
	}, `SELECT id, secret, role, max_uses, created, expires, ended FROM member_invite ORDER BY created, id`)
}

func memberRedemptions(ctx context.Context, q Queryer) ([]member.Redemption, error) {
	return collect(ctx, q, func(scan func(...any) error) (r member.Redemption, err error) {
		return r, scan(bytesInto(r.Invite[:]), bytesInto(r.Member[:]), bytesInto(r.Admission[:]))
	}, `SELECT invite, member, admission FROM member_redemption ORDER BY seq`)
}

// Save implements member.Store.
func (m memberStore) Save(c member.Change) error {
	ctx := context.Background()
	err := m.db.Write(ctx, func(tx *sql.Tx) error { return saveMembers(ctx, tx, c) })
	if err != nil {
		return fmt.Errorf("store: save roster: %w", err)
	}
	return nil
}

// Install implements member.Store.
func (m memberStore) Install(s member.State) error {
	ctx := context.Background()
	err := m.db.Write(ctx, func(tx *sql.Tx) error {
		for _, clear := range []string{
			`DELETE FROM member_redemption`, `DELETE FROM member_invite`,
			`DELETE FROM member_statement`, `DELETE FROM member_network`,
		} {
			if _, err := tx.ExecContext(ctx, clear); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO member_network (id, network) VALUES (1, ?)`, s.Network[:]); err != nil {
			return err
		}
		return saveMembers(ctx, tx, member.Change{Add: s.Statements, Invites: s.Invites, Redemptions: s.Redemptions})
	})
	if err != nil {
		return fmt.Errorf("store: install network %s: %w", s.Network.Short(), err)
	}
	return nil
}

func saveMembers(ctx context.Context, tx *sql.Tx, c member.Change) error {
	for _, h := range c.Drop {
		if _, err := tx.ExecContext(ctx, `DELETE FROM member_statement WHERE hash = ?`, h[:]); err != nil {
			return err
		}
	}
	for _, st := range c.Add {
		h := st.Hash()
		_, err := tx.ExecContext(ctx, `
			INSERT INTO member_statement (hash, kind, body, sig) VALUES (?, ?, ?, ?)
			ON CONFLICT (hash) DO NOTHING`, h[:], st.Kind, st.Body, st.Sig)
		if err != nil {
			return err
		}
	}
	for _, in := range c.Invites {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO member_invite (id, secret, role, max_uses, created, expires, ended) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET secret = excluded.secret, role = excluded.role, max_uses = excluded.max_uses,
				created = excluded.created, expires = excluded.expires, ended = excluded.ended`,
			in.ID[:], in.Secret[:], in.Role, in.MaxUses, in.Created.Unix(), in.Expires.Unix(), in.Ended)
		if err != nil {
			return err
		}
	}
	for _, id := range c.DropInvites {
		if _, err := tx.ExecContext(ctx, `DELETE FROM member_invite WHERE id = ?`, id[:]); err != nil {
			return err
		}
	}
	for _, r := range c.Redemptions {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO member_redemption (invite, member, admission) VALUES (?, ?, ?)
			ON CONFLICT (invite, member) DO NOTHING`, r.Invite[:], r.Member[:], r.Admission[:])
		if err != nil {
			return err
		}
	}
	return nil
}

// collect reads all rows of a query, each by read.
func collect[T any](ctx context.Context, q Queryer, read func(scan func(...any) error) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := read(rows.Scan)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// bytesInto scans a blob of exactly the length of dst into dst.
func bytesInto(dst []byte) sql.Scanner { return fixedBytes(dst) }

type fixedBytes []byte

// Scan implements sql.Scanner.
func (f fixedBytes) Scan(src any) error {
	b, ok := src.([]byte)
	if !ok || len(b) != len(f) {
		return fmt.Errorf("%T of %d bytes, want %d", src, len(b), len(f))
	}
	copy(f, b)
	return nil
}
