package server

import (
	"context"
	"net/http"
	"time"

	"github.com/shoal-p2p/shoal/p2p/lesson"
	"github.com/shoal-p2p/shoal/server/api"
)

// playTime is how long a story may take: the longest that comes with the program needs a
// tenth of it.
const playTime = 5 * time.Second

// ListLessons implements api.StrictServerInterface.
func (a *nodeAPI) ListLessons(context.Context, api.ListLessonsRequestObject) (api.ListLessonsResponseObject, error) {
	all, err := lesson.All()
	if err != nil {
		return nil, err
	}
	return lessonsReply{Items: all}, nil
}

// lessonsReply is a LessonList.
type lessonsReply struct {
	Items []lesson.Lesson `json:"items"`
	Next  *string         `json:"next"`
}

// VisitListLessonsResponse implements api.ListLessonsResponseObject.
func (l lessonsReply) VisitListLessonsResponse(w http.ResponseWriter) error { return writeJSON(w, l) }

// GetLesson implements api.StrictServerInterface.
func (a *nodeAPI) GetLesson(ctx context.Context, r api.GetLessonRequestObject) (api.GetLessonResponseObject, error) {
	l, err := lesson.Find(r.Name)
	if err != nil {
		return nil, err
	}
	return a.play(ctx, l)
}

// PlayLesson implements api.StrictServerInterface.
func (a *nodeAPI) PlayLesson(ctx context.Context, r api.PlayLessonRequestObject) (api.PlayLessonResponseObject, error) {
	l, err := lesson.Parse(r.Body.File)
	if err != nil {
		return nil, err
	}
	return a.play(ctx, l)
}

// play plays a lesson when no other one plays here.
func (a *nodeAPI) play(ctx context.Context, l lesson.Lesson) (playedReply, error) {
	select {
	case a.stage <- struct{}{}:
		defer func() { <-a.stage }()
	case <-ctx.Done():
		return playedReply{}, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, playTime)
	defer cancel()
	p, err := l.Play(ctx)
	if err != nil {
		return playedReply{}, err
	}
	return playedReply{Lesson: l, File: l.File, Lines: p.Lines, Wrong: p.Wrong}, nil
}

// playedReply is a LessonPlayed.
type playedReply struct {
	lesson.Lesson
	File  string        `json:"file"`
	Lines []lesson.Line `json:"lines"`
	Wrong int           `json:"wrong"`
}

// VisitGetLessonResponse implements api.GetLessonResponseObject.
func (p playedReply) VisitGetLessonResponse(w http.ResponseWriter) error { return writeJSON(w, p) }

// VisitPlayLessonResponse implements api.PlayLessonResponseObject.
func (p playedReply) VisitPlayLessonResponse(w http.ResponseWriter) error { return writeJSON(w, p) }
