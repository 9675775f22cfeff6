export type {
  LeadClickEntry,
  LeadClickOnExpert,
  LeadClicksByEmail,
  LeadClicksByExpertResponse,
  LeadClicksResponse,
} from "./admin/types.js";
export { type CaptureOptions, captureLeadClick, type LeadClick } from "./captureLeadClick.js";
export { optIn, optOut } from "./optOut.js";
export { hasOptedOut } from "./outbox.js";
