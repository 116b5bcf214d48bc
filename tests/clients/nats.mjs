// A publisher that knows nothing of Belfry: the NATS project's own client.

import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

/** Publishes bare JSON bodies, in order, without credentials; answers their sequences. */
export async function publish(server, subject, ...bodies) {
  const nc = await connect({ servers: server });
  try {
    const js = jetstream(nc);
    const stored = [];
    for (const body of bodies) stored.push((await js.publish(subject, JSON.stringify(body))).seq);
    return stored;
  } finally {
    await nc.close();
  }
}
