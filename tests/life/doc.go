// Life takes a release of the chart through its life on a Kubernetes cluster, under
// open windows and a publisher that never stops, and counts: every window must have
// every event, once and in order, whatever was rolled, killed and evicted.
//
//	KUBECONFIG=… go run ./tests/life -mode cluster -set image.registry=registry.example.com
//
//	install   in a namespace that enforces the Pod Security Standard "restricted"
//	test      helm test
//	open      windows, through the Service of the gateways
//	upgrade   a setting that rolls every pod; with -from, to this chart and its images
//	kill      a NATS pod and a gateway pod, without grace
//	evict     one NATS pod goes, a second one is refused by the disruption budget
//	rollback  to the first revision, which with -from is the older chart
//	count
//	uninstall leaves volume claims, and nothing else
//
// With another release of the chart and its images, -from takes the platform from there:
//
//	go run ./tests/life -from ../older/charts/belfry -from-set image.tag=0.1.0 -set …
//
// It needs helm and kubectl in the path, the images of "make image" where the cluster
// finds them, and a place from which the cluster's services can be reached by name: a
// pod, or a node. What it prints is the table of charts/belfry/README.md.
package main
