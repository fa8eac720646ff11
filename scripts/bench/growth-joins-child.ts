/** `node growth-joins-child.ts SERVER TOKEN PIN COUNT PREFIX`: so many nodes join at the same moment; prints the seconds until the last one is registered. */
import { joinAsNode } from "../../test/support/simulated-node.ts";

const [server = "", token = "", pin = "", count = "", prefix = ""] = process.argv.slice(2);
const started = performance.now();
await Promise.all(Array.from({ length: Number(count) }, (_, number) => joinAsNode({ name: `${prefix}-${number}`, server, token, caCertHashes: [pin] })));
process.stdout.write(String((performance.now() - started) / 1000));
