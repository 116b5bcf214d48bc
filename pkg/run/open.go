package run

import "context"

// Open makes a part's New from something that is opened and closed rather than
// run: a connection, a server of another package. It is ready when open has
// returned. close gets a context that ends after the part's StopWithin has
// passed, and may be nil.
func (p Part) Open(open func(context.Context) (close func(context.Context) error, err error)) Part {
	p.New = func(ctx context.Context) (Service, error) {
		shut, err := open(ctx)
		if err != nil {
			return nil, err
		}
		ready := make(chan struct{})
		close(ready)
		return &opened{ready, shut, p}, nil
	}
	return p
}

type opened struct {
	ready chan struct{}
	shut  func(context.Context) error
	part  Part
}

func (o *opened) Ready() <-chan struct{} { return o.ready }

func (o *opened) Run(ctx context.Context) error {
	<-ctx.Done()
	if o.shut == nil {
		return nil
	}
	within := o.part.StopWithin
	if within == 0 {
		within = StopWithin
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	return o.shut(ctx)
}
