export { PlayPage } from "./PlayPage";
