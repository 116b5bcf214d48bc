package fault

// Code names one way of going wrong. Codes are part of the wire contract:
// they are added, never renamed.
type Code string

// The codes. The comment behind each says when it is used.
const (
	// invalid: the request itself is wrong; sending it again will not help.
	InvalidRequest         Code = "invalid_request"          // a parameter is missing, unknown or of the wrong type
	InvalidEvent           Code = "invalid_event"            // an attribute breaks CloudEvents 1.0 or our grammar
	NotACloudEvent         Code = "not_a_cloudevent"         // HTTP body without the attributes that make it an event
	UnsupportedContentType Code = "unsupported_content_type" // HTTP media type we do not take
	EventTooLarge          Code = "event_too_large"          // above the configured maximum event size
	InvalidName            Code = "invalid_name"             // a tenant, user or id outside the token grammar
	InvalidTopic           Code = "invalid_topic"            // a topic outside the grammar
	InvalidVerb            Code = "invalid_verb"             // a verb outside the grammar
	UnknownName            Code = "unknown_name"             // no view has this event name
	InvalidCursor          Code = "invalid_cursor"           // not the text of a cursor
	InvalidFrame           Code = "invalid_frame"            // not a frame of the plain WebSocket protocol, or not a hub message
	FrameTooLarge          Code = "frame_too_large"          // a client frame, or a hub message, above the limit
	UnsupportedProtocol    Code = "unsupported_protocol"     // WebSocket subprotocol we do not speak
	InvalidConfig          Code = "invalid_config"           // a setting has an impossible value
	UnknownConfigKey       Code = "unknown_config_key"       // a setting that does not exist
	UsageError             Code = "usage"                    // the command line is off
	InvalidSchedule        Code = "invalid_schedule"         // a schedule's rule cannot be read, or never fires; details: field, position
	InvalidOperation       Code = "invalid_operation"        // an operation that there is not, or that lacks or contradicts something
	InvalidRule            Code = "invalid_rule"             // an alert rule that cannot work; details: field, line, column

	BackupDamaged Code = "backup_damaged" // a backup that is not whole, or not as it was written

	// unauthenticated: nobody we know is calling.
	TokenMissing Code = "token_missing" // no credentials where they are required
	TokenInvalid Code = "token_invalid" // the token is malformed, forged or not for us
	TokenExpired Code = "token_expired" // the token was valid and its time is over
	TokenRevoked Code = "token_revoked" // the token was valid and has been taken back

	SignatureInvalid Code = "signature_invalid" // the signature of the request is malformed, forged, out of time or for another request
	NonceReplayed    Code = "nonce_replayed"    // a signed request came a second time

	// forbidden: we know the caller, and may not.
	TenantForbidden Code = "tenant_forbidden" // the tenant is not among the token's
	GrantMissing    Code = "grant_missing"    // no grant of the token covers this
	OriginForbidden Code = "origin_forbidden" // a browser page of a foreign origin

	ConnectionForbidden Code = "connection_forbidden" // a connection of the hub that belongs to another user

	Disconnected    Code = "disconnected"     // an operator has closed the user's connections
	TargetForbidden Code = "target_forbidden" // an address that hooks must not be called at

	// not_found
	NotFound         Code = "not_found"          // no such thing, or no such route
	MethodNotAllowed Code = "method_not_allowed" // the route exists, not with this method

	ConnectionUnknown   Code = "connection_unknown"   // no connection of the hub has this id: it has ended, or was not opened in time
	ConnectionElsewhere Code = "connection_elsewhere" // the connection of the hub is on another replica: balance by a hash of the id

	SubscriberUnknown   Code = "subscriber_unknown"   // no subscriber of this caller has the id
	MessageUnknown      Code = "message_unknown"      // no message of this subscriber has the id: it is confirmed long ago, or never was
	TopicUnknown        Code = "topic_unknown"        // no event of the tenant ever had this topic
	SubscriptionUnknown Code = "subscription_unknown" // the subscriber has no mailbox for this topic

	DeletionUnknown Code = "deletion_unknown" // no BeforeDelete has given this deletion id

	ScheduleUnknown Code = "schedule_unknown" // the tenant has no such schedule, or the caller may not see it

	NobodyThere Code = "nobody_there" // nobody it is for has a window open that wants it

	// conflict: the state of the world does not allow it now.
	Conflict          Code = "conflict"            // somebody else changed it first
	DataDirInUse      Code = "data_dir_in_use"     // another process holds the data directory
	DataDirUnwritable Code = "data_dir_unwritable" // the data directory cannot be written
	PortInUse         Code = "port_in_use"         // another process listens there

	ScheduleExists Code = "schedule_exists" // another schedule of the tenant has the id

	ConnectionInUse Code = "connection_in_use" // the id of the hub was used for a connection already

	MessageLocked   Code = "message_locked"   // somebody else has received it; until the lock ends it is theirs
	LockLost        Code = "lock_lost"        // not, or no longer, the lock of this message
	DeletionRefused Code = "deletion_refused" // a hook refused the deletion that is named
	DeletionPending Code = "deletion_pending" // hooks are being asked about this object now
	DeletionExpired Code = "deletion_expired" // what hooks said is too old to count
	HookRecursion   Code = "hook_recursion"   // a hook's own deletion leads back to what it was asked about, or too deep

	AlertLoop Code = "alert_loop" // the alert rule would be set off by its own alerts, alone or through others

	InTrash          Code = "in_trash"          // the object lies in the trash already
	NotInTrash       Code = "not_in_trash"      // the object does not lie in the trash
	VersionBackwards Code = "version_backwards" // an operation carries a lower version than one before it

	StoreNotEmpty  Code = "store_not_empty" // a backup goes where nothing is: a new directory, or a server without our streams
	BackupUnsteady Code = "backup_unsteady" // services worked while a backup was taken

	// gone
	CursorGone     Code = "cursor_gone"     // the log no longer holds what follows the cursor
	MailboxExpired Code = "mailbox_expired" // not polled for too long; the mailboxes are removed, subscribe again

	// exhausted: a limit was reached.
	SlowConsumer         Code = "slow_consumer"          // the client reads slower than its events come
	TooManySubscriptions Code = "too_many_subscriptions" // above the limit of one connection, or of one subscriber
	TooManyConnections   Code = "too_many_connections"   // above the limit of this user, or of this tenant
	TooManySchedules     Code = "too_many_schedules"     // above the limit of one tenant
	TooManyHooks         Code = "too_many_hooks"         // above the limit of one tenant
	TooManyAlerts        Code = "too_many_alerts"        // alert rules above the limit of one tenant
	RateLimited          Code = "rate_limited"           // more calls than this caller may make; wait as long as Retry-After says
	TooManyLocks         Code = "too_many_locks"         // above the limit of one subscriber; confirm or release some
	BacklogFull          Code = "backlog_full"           // too much waits in the subscriber's mailboxes to add the past

	// unavailable: try again.
	Unavailable   Code = "unavailable"    // something we need does not answer
	Starting      Code = "starting"       // not serving yet
	Draining      Code = "draining"       // shutting down; come back to another replica
	StreamLost    Code = "stream_lost"    // a stream that existed is missing; an operator must decide
	EpochMismatch Code = "epoch_mismatch" // the stream is not the one this state was made for
	TopologyNewer Code = "topology_newer" // a newer version has changed the streams
	FeedLost      Code = "feed_lost"      // the live feed broke; reconnect and resume
	AtCapacity    Code = "at_capacity"    // this replica holds as many connections as it may; come back, to any
	ComeBack      Code = "come_back"      // an operator asks the client to reconnect

	// internal
	Internal Code = "internal" // our fault
)

// row is what the table says of one code.
type row struct {
	kind   Kind
	status int // HTTP status; 0 = the kind's
	close  int // WebSocket close code, see Close*
}

// table is the one place that maps codes. Close codes 4000 to 4499 tell the
// client to reconnect (and resume), 4500 to 4999 that reconnecting the same
// way cannot help: the number alone decides, as in centrifugo.
var table = map[Code]row{
	InvalidRequest:         {Invalid, 0, 4500},
	InvalidEvent:           {Invalid, 0, 4501},
	NotACloudEvent:         {Invalid, 0, 4502},
	UnsupportedContentType: {Invalid, 415, 4503},
	EventTooLarge:          {Invalid, 413, 4504},
	InvalidName:            {Invalid, 0, 4505},
	InvalidTopic:           {Invalid, 0, 4506},
	InvalidVerb:            {Invalid, 0, 4507},
	UnknownName:            {Invalid, 0, 4508},
	InvalidCursor:          {Invalid, 0, 4509},
	InvalidFrame:           {Invalid, 0, 4510},
	FrameTooLarge:          {Invalid, 413, 4511},
	UnsupportedProtocol:    {Invalid, 0, 4512},
	InvalidConfig:          {Invalid, 0, 4513},
	UnknownConfigKey:       {Invalid, 0, 4514},
	UsageError:             {Invalid, 0, 4515},
	InvalidSchedule:        {Invalid, 0, 4516},
	InvalidOperation:       {Invalid, 0, 4517},
	InvalidRule:            {Invalid, 0, 4518},

	BackupDamaged: {Invalid, 0, 4519},

	TokenMissing: {Unauthenticated, 0, 4530},
	TokenInvalid: {Unauthenticated, 0, 4531},
	TokenExpired: {Unauthenticated, 0, 4532},
	TokenRevoked: {Unauthenticated, 0, 4533},

	SignatureInvalid: {Unauthenticated, 0, 4534},
	NonceReplayed:    {Unauthenticated, 0, 4535},

	TenantForbidden: {Forbidden, 0, 4540},
	GrantMissing:    {Forbidden, 0, 4541},
	OriginForbidden: {Forbidden, 0, 4542},

	ConnectionForbidden: {Forbidden, 0, 4546},

	Disconnected:    {Forbidden, 0, 4544},
	TargetForbidden: {Forbidden, 0, 4543},

	NotFound:         {Missing, 0, 4550},
	MethodNotAllowed: {Missing, 405, 4551},

	ConnectionUnknown:   {Missing, 0, 4554},
	ConnectionElsewhere: {Missing, 0, 4559},

	ScheduleUnknown: {Missing, 0, 4549},

	NobodyThere: {Missing, 0, 4553},

	SubscriberUnknown:   {Missing, 0, 4555},
	MessageUnknown:      {Missing, 0, 4556},
	TopicUnknown:        {Missing, 0, 4557},
	SubscriptionUnknown: {Missing, 0, 4558},

	DeletionUnknown: {Missing, 0, 4552},

	Conflict:          {Conflicting, 0, 4560},
	DataDirInUse:      {Conflicting, 0, 4561},
	DataDirUnwritable: {Conflicting, 0, 4562},
	PortInUse:         {Conflicting, 0, 4563},

	ScheduleExists: {Conflicting, 0, 4576},

	ConnectionInUse: {Conflicting, 0, 4574},

	MessageLocked:   {Conflicting, 0, 4568},
	LockLost:        {Conflicting, 0, 4569},
	DeletionRefused: {Conflicting, 0, 4564},
	DeletionPending: {Conflicting, 0, 4565},
	DeletionExpired: {Conflicting, 0, 4566},
	HookRecursion:   {Conflicting, 0, 4567},

	AlertLoop: {Conflicting, 0, 4577},

	InTrash:          {Conflicting, 0, 4571},
	NotInTrash:       {Conflicting, 0, 4572},
	VersionBackwards: {Conflicting, 0, 4573},

	StoreNotEmpty:  {Conflicting, 0, 4578},
	BackupUnsteady: {Conflicting, 0, 4579},

	CursorGone:     {Gone, 0, 4570},
	MailboxExpired: {Gone, 0, 4575},

	TooManySubscriptions: {Exhausted, 0, 4580},
	TooManyConnections:   {Exhausted, 0, 4590},
	RateLimited:          {Exhausted, 0, 4581},
	TooManyLocks:         {Exhausted, 0, 4585},
	BacklogFull:          {Exhausted, 0, 4586},
	TooManySchedules:     {Exhausted, 0, 4587},
	TooManyHooks:         {Exhausted, 0, 4582},
	TooManyAlerts:        {Exhausted, 0, 4588},
	SlowConsumer:         {Exhausted, 0, 4000},

	Unavailable:   {Down, 0, 4010},
	Starting:      {Down, 0, 4011},
	Draining:      {Down, 0, 4012},
	StreamLost:    {Down, 0, 4013},
	EpochMismatch: {Down, 0, 4014},
	TopologyNewer: {Down, 0, 4015},
	FeedLost:      {Down, 0, 4016},
	AtCapacity:    {Down, 0, 4017},
	ComeBack:      {Down, 0, 4018},

	Internal: {Ours, 0, 4020},
}

// Codes lists every code, in no order.
func Codes() []Code {
	all := make([]Code, 0, len(table))
	for c := range table {
		all = append(all, c)
	}
	return all
}
