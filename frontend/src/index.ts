export type {
  LeadClickEntry,
  LeadClickOnExpert,
  LeadClicksByEmail,
  LeadClicksByExpertResponse,
  LeadClicksResponse,
} from "./admin/types.js";
export { type CaptureOptions, captureLeadClick, DEFAULT_ENDPOINT, type LeadClick } from "./captureLeadClick.js";
export { hasOptedOut, optIn, optOut } from "./optOut.js";
