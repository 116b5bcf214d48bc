// Life takes a release of the chart through its life on a Kubernetes cluster, under
// open windows and a publisher that never stops, and counts: every window must have
// every event, once and in order, whatever was rolled, killed and evicted.
//
//	KUBECONFIG=… go run ./tests/life -mode cluster -set image.registry=registry.example.com
//
//	install   in a namespace that enforces the Pod Security Standard "restricted"
//	test      helm test
//	open      windows, through the Service of the gateways
//	upgrade   a setting that rolls every pod
//	kill      a NATS pod and a gateway pod, without grace
//	evict     one NATS pod goes, a second one is refused by the disruption budget
//	rollback  to the first revision
//	count
//	uninstall leaves volume claims, and nothing else
//
// It needs helm and kubectl in the path, the images of "make image" where the cluster
// finds them, and a place from which the cluster's services can be reached by name: a
// pod, or a node. What it prints is the table of charts/belfry/README.md.
package main
