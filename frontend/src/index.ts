export type * from "./admin/types.js";
export { type CaptureOptions, captureLeadClick, type LeadClick } from "./captureLeadClick.js";
export type { LeadClickAccepted, LeadClickBody } from "./contract.js";
export { hasOptedOut, optIn, optOut } from "./optOut.js";
