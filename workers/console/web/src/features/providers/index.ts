export { ProviderKeys } from "./ProviderKeys";
