export { type CardClick, type Expert, ExpertCard, type ExpertCardProps } from "./components/marketplace/ExpertCard.js";
export { createExplorerStore, type ExplorerState, useExplorerStore } from "./store/explorerStore.js";
export { createNltrStore, type NltrState, type NltrStoreOptions, useNltrStore } from "./store/nltrStore.js";
