// Package event is the envelope: CloudEvents 1.0 with Belfry's extensions, on
// NATS, over HTTP and in JSON, and the views of an event under the names the
// seeds gave it.
//
//	HTTP   binary ─┐                                   ┌─▶ AppendJSON        the event as it is stored
//	   structured ─┼ FromHTTP ─▶ Complete ─▶ Msg ─┐    │
//	        batch ─┘              Validate        │    │   View.Payload      what a seed's name means
//	                                            NATS   ├─▶ View.AppendJSON   … as CloudEvents JSON
//	       binary ─┐                              │    │   View.Notification … as SignalR's OnEvent
//	   structured ─┼──────────────────────────────┴────┤
//	         bare ─┘  (publishers on NATS)      Decode └─▶ Change            who changed what
//
// Two doors, two rules. What comes over HTTP is refused when it is wrong, with
// the attribute named. What comes over NATS is already stored, so Decode never
// fails: an event that breaks a rule is read as bare, with all defaults and its
// whole body as data, and says why in its malformed attribute. Whatever Decode
// gives, AppendJSON writes as valid JSON that ParseJSON reads back.
//
// # What Decode does where the binding is silent
//
//   - Absent is never wrong: id is Nats-Msg-Id, else the cursor, else new;
//     source is /nats; type is topic and verb in lower case, else the subject;
//     time is when the log stored it; data without a type is JSON if it is
//     JSON, and otherwise text or bytes and malformed.
//   - Tenant, topic and verb come from the subject. The headers' spelling of
//     topic and verb stays where it differs in case only.
//   - A header sent twice counts once: the first ce-* value, because it is the
//     publisher's, and the last Nats-Sequence, because it is the server's.
//   - ce-* headers in any case are read; the exact lower-case one wins. A name
//     that no extension can have (ce-my_ext) is passed over, an empty value too.
//   - Content-Type on a binary or bare message is taken for ce-datacontenttype.
//   - A bare body that is a complete JSON envelope is structured mode: the
//     CloudEvents SDK for Go does not send the content type on core NATS.
//   - Headers have no types: extensions that came in headers are strings.
//
// # Limits
//
// 200 extensions; JSON data nested 1,000 deep. The size of an event is the
// business of whoever takes it in.
//
// # Views
//
// One stored event, several names; the table is in view.go. An event whose frm
// is false has no frm and no sys view, one that is unannounced no
// sys.userDelete. Names are compared ignoring case and written as the seeds do.
package event
