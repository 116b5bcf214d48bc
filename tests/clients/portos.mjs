// The code of the PORTOS text, word for word, in its five pieces. It is run as it
// stands: a test puts in the token and the address it leaves open, and one line that
// chooses the transport.

export const connect = `
const token = "YOUR_BEARER_TOKEN"; // Replace with your actual token
const serverAddress = "SERVER_ADDRESS"; // Replace with your actual server addess, e.g. http://localhost:3000

const connection = new signalR.HubConnectionBuilder()
    .withUrl(serverAddress + "/signalr/v1/mainHub", {
        accessTokenFactory: () => token
    })
    .build();
`;

export const handle = `
connection.on("OnEvent", function (message) {
    // Handle the notification (e.g., update UI)
    if (message.e == "portos.resources.changed") {
        // Resource has been changed
    } else if (message.e == "portos.licence.activated") {
        // Product license has been activated
        const newLicense = message.p;
    }
});
`;

export const start = `
// Start the connection
await connection.start();
`;

export const subscribe = `
// Prepare the subscription payload
const subscriptionPayload = {
    e: "portos.resources.changed", // event name
    r: [ // optional collection of resources
        {
            n: "devices", // resource name
            a: [ // optional collection of actions
                "created",
                "updated",
                "deleted"
            ]
        }
    ]
};

// Send the 'Subscribe' message with the payload
await connection.invoke("Subscribe", subscriptionPayload);
`;

export const subscribeToLicence = `
// Prepare the subscription payload
const subscriptionPayload = {
    e: "portos.licence.activated" // event name
};

// Send the 'Subscribe' message with the payload
await connection.invoke("Subscribe", subscriptionPayload);
`;

export const unsubscribe = `
// Prepare the same payload as for subscription
const payload = {
    e: "portos.licence.activated" // event name
};

// Send the 'Unsubscribe' message with the payload
await connection.invoke("Unsubscribe", payload);
`;

/**
 * The whole of it as the body of an async function of (signalR, seen): seen is called
 * with what arrives, by a second handler, because the text's own shows nothing. It
 * answers {connection, unsubscribe}.
 */
export function program(url, token, transport, protocol = "") {
  const opened = connect
    .replace("YOUR_BEARER_TOKEN", token)
    .replace("SERVER_ADDRESS", url)
    .replace("() => token\n", `() => token\n        , transport: signalR.HttpTransportType.${transport}\n`)
    .replace("    .build();", `${protocol}    .build();`);
  const block = (code) => `{${code}}`;
  return `${opened}${handle}
connection.on("OnEvent", seen);
${start}${block(subscribe)}${block(subscribeToLicence)}
return { connection, unsubscribe: async () => ${block(unsubscribe)} };`;
}
