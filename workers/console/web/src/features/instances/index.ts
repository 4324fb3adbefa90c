export { InstancePage } from "./InstancePage";
export { InstancesPage } from "./InstancesPage";
