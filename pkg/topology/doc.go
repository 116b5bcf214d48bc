// Package topology is what must exist in JetStream before a service may run:
// streams, durables and buckets, as data, and Ensure, which makes it so.
//
//	stream               subjects              kept        remarks
//	EVENTS               evt.*.*.*, ctl.>      14 days     republished to live.evt.*.*.* after commit
//	DEADLETTERS          dead.>                90 days     what was given up, with reason and original
//	KV belfry_revocations  tokens taken back   as long as a token may live
//	KV belfry_nonces     requests taken        as long as their time counts
//	KV belfry_topology   stream name → epoch   for good    which streams have existed
//
// Every stream carries two lines of metadata. Its epoch is eight random
// characters, new whenever the stream is created: positions of another epoch
// mean nothing. Its topology version says who may change it: an older program
// leaves the streams of a newer one as they are.
//
// A consumer that is missing is made again, silently: it holds no data. A
// stream that is missing though it is remembered is data lost, and only an
// operator may say that the platform goes on without (stream_lost).
package topology
