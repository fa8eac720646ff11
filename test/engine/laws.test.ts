import { fixtureFlow, fixtureWorld } from "../support/fixture-flow.ts";
import { lawsOf } from "./laws.ts";

lawsOf("the fixture flow", fixtureFlow, () => ({ ...fixtureWorld(), secrets: () => ["hunter2hunter2"] }));
