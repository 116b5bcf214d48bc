// Package calendar says when a schedule fires. It is arithmetic: no clock, no
// store, no goroutine; the same question always has the same answer, on every
// replica that has the same time zone data.
//
// # Three kinds of rule
//
//	cron    "30 2 * * *"       a wall-clock time in a zone (five fields, or six with seconds)
//	every   15m from an anchor elapsed time, whatever the clocks on the wall do
//	at      one instant        a reminder
//
// # Where the clocks change
//
// A cron rule with a fixed hour names readings of the clock on the wall. On two
// days of the year a reading is missing or comes twice, and every library that
// was measured loses or doubles the fire of such a day in some zone. Here a
// reading is fired exactly once per local date, and the rule may say otherwise:
//
//	reading           missing (gap)                    twice (overlap)
//	default           at the instant of the change     the first time
//	policy            GapSkip: not at all              OverlapSecond, OverlapBoth
//
// A rule whose hour is a wildcard ("*/10 * * * *") means elapsed time: it fires
// whenever the clock on the wall shows a matching reading, so an hour that comes
// twice is fired through twice, an hour that is missing is not, and the distance
// between two fires stays what it is on other days. Policies do not touch it.
//
//	zone: ──────────── span, +01:00 ───────────┬───────── span, +02:00 ─────────
//	readings:   01:58   01:59                  │ 03:00   03:01
//	                    02:00 … 02:59 (gap) ───┘ fired here, once
//
// The whole package rests on that picture: a zone is a row of spans with one
// offset each (span.go), inside a span instants and readings are the same line
// (reading.go), and only the seams between spans need thought (wall.go).
//
// # Limits
//
// The calendar knows the years 1970 to 2199. Nothing enumerates fires: the next
// and the last one are looked for by date, and missed ones are counted by
// multiplication.
package calendar
