package subject

import (
	"hash/fnv"
	"strconv"
	"strings"
)

// trash begins the records of what lies in the trash.
const trash = "trash"

// Operations are the subjects that operations are reported on:
// op.<tenant>.<topic>.<op>.<object>.
const Operations = "op.*.*.*.*"

// TrashRecords are the records of stream TRASH: trash.<tenant>.<topic>.<object>.
const TrashRecords = "trash.*.*.*"

// Partitions is into how many parts operations are dealt; part of how they are
// stored, so it never changes.
const Partitions = 8

// PartitionedOperations is what the stream makes of Operations:
// op.<partition>.<tenant>.<topic>.<op>.<object>. Tenant and object choose the
// partition. The topic does not: its case is the publisher's, and the order of an
// object's operations must not hang on it.
var PartitionedOperations = join(op, "{{partition("+strconv.Itoa(Partitions)+",1,4)}}", "{{wildcard(1)}}", "{{wildcard(2)}}", "{{wildcard(3)}}", "{{wildcard(4)}}")

// OperationAddress is where an operation is reported. In one read from a subject
// all four are unescaped; Topic and Op may still need Fold.
type OperationAddress struct{ Tenant, Topic, Op, Object string }

// Operation is the subject of an address, topic and op in lower case. Codes
// invalid_name (tenant, op, object), invalid_topic.
func Operation(a OperationAddress) (string, error) {
	if err := a.Check(); err != nil {
		return "", err
	}
	name, err := Escape("op", Fold(a.Op))
	if err != nil {
		return "", err
	}
	return join(op, escape(a.Tenant), escape(Fold(a.Topic)), name, escape(a.Object)), nil
}

// Check says whether tenant, topic and object are inside the grammar. Which
// operations there are is not its business.
func (a OperationAddress) Check() error {
	if err := CheckTenant(a.Tenant); err != nil {
		return err
	}
	if err := CheckTopic(a.Topic); err != nil {
		return err
	}
	_, err := Escape("object", a.Object)
	return err
}

// ParseOperation reads the address in a subject, as it is reported or as it is
// stored; ok is false for any other subject. canonical is false when tenant or
// object are escaped in another way than ours: then other spellings of the same
// object may be in other partitions.
func ParseOperation(s string) (a OperationAddress, canonical, ok bool) {
	tokens := strings.Split(s, sep)
	if len(tokens) == 6 {
		tokens = append(tokens[:1], tokens[2:]...)
	}
	if len(tokens) != 5 || tokens[0] != op {
		return a, false, false
	}
	a = OperationAddress{Unescape(tokens[1]), Unescape(tokens[2]), Unescape(tokens[3]), Unescape(tokens[4])}
	return a, escape(a.Tenant) == tokens[1] && escape(a.Object) == tokens[4], true
}

// Partition is the partition of an object's operations.
func Partition(tenant, object string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(escape(tenant) + escape(object))) // a hash never fails
	return int(h.Sum32() % Partitions)
}

// OperationsOf is the filter for a partition's operations as they are stored.
func OperationsOf(partition int) string { return join(op, strconv.Itoa(partition), rest) }

// Trash is the record of what lies in the trash, or lay there:
// trash.<tenant>.<topic>.<object>, the topic in lower case. Codes invalid_name,
// invalid_topic.
func Trash(tenant, topic, object string) (string, error) {
	if err := (OperationAddress{Tenant: tenant, Topic: topic, Object: object}).Check(); err != nil {
		return "", err
	}
	return join(trash, escape(tenant), escape(Fold(topic)), escape(object)), nil
}

// TrashFence is the record in TRASH that whoever works off a partition writes first,
// trash._.fence.<partition>: no tenant is called so. Whatever has it has all that was
// written before.
func TrashFence(partition int) string {
	return join(trash, Platform, "fence", strconv.Itoa(partition))
}

// TopicTrash is the filter for all trash records of a topic. Codes invalid_name,
// invalid_topic.
func TopicTrash(tenant, topic string) (string, error) {
	if err := CheckTenant(tenant); err != nil {
		return "", err
	}
	if err := CheckTopic(topic); err != nil {
		return "", err
	}
	return join(trash, escape(tenant), escape(Fold(topic)), "*"), nil
}
