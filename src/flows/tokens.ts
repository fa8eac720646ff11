/** Operations on a cluster's tokens, for the command line: each is planned as actions, which the engine carries out (`engine/change-objects.ts`). */
export { planNewToken, planTokenDeletion, type PlannedToken } from "../phases/token-changes.ts";
export { joinAddress } from "../phases/join-address.ts";
export { controlPlaneJoinCommand, joinCommand } from "../phases/show-join-command.ts";
export { planTicket, type PlannedTicket } from "../phases/ticket.ts";
