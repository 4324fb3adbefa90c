import jsxA11y from "eslint-plugin-jsx-a11y";
import reactHooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

/** What a folder of `src` may import besides itself (README.md, "Folders"). */
const MAY_IMPORT = {
  routes: ["features", "routes"],
  features: ["ui", "api", "charts", "logpane", "live", "format", "keyboard", "theme"],
  ui: ["format"],
  api: [],
  live: ["api"],
  charts: ["format"],
  logpane: ["format"],
  format: [],
  keyboard: [],
  theme: [],
};
const FOLDERS = Object.keys(MAY_IMPORT);

const folders = FOLDERS.map((folder) => {
  const refused = FOLDERS.filter((other) => other !== folder && !MAY_IMPORT[folder].includes(other));
  const patterns = refused.map((other) => ({
    regex: `^(\\.\\./)+${other}(/|$)`,
    message: `src/${folder} does not import src/${other}; see "Folders" in web/README.md.`,
  }));
  if (folder === "features") {
    patterns.push({ regex: "^\\.\\./[^.]", message: "A feature does not import another feature; share through ui, api or format." });
  }
  if (folder !== "ui") {
    patterns.push({ regex: "^(@base-ui|@phosphor-icons)/", message: "Only src/ui imports components and icons of others." });
  }
  return {
    files: [`src/${folder}/**/*.{ts,tsx}`],
    rules: { "no-restricted-imports": ["error", { patterns }] },
  };
});

export default tseslint.config(
  { ignores: ["dist", "src/api/generated", "node_modules"] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: { allowDefaultProject: ["public/*.js", "tools/*.mjs"] }, tsconfigRootDir: import.meta.dirname },
    },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      // Numbers in texts are what templates are for.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // `onClick={() => setOpen(true)}` reads well.
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      // A redirect of the router is thrown, by its design, and it is no Error.
      "@typescript-eslint/only-throw-error": "off",
      "@typescript-eslint/consistent-type-imports": "error",
      "max-lines": ["error", { max: 400 }],
      "no-restricted-syntax": [
        "error",
        { selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']", message: "Markup from data is never drawn." },
      ],
      "no-console": "error",
      eqeqeq: "error",
    },
  },
  { files: ["src/**/*.tsx"], ...jsxA11y.flatConfigs.strict },
  {
    files: ["src/**/*.{ts,tsx}"],
    plugins: { "react-hooks": reactHooks },
    rules: reactHooks.configs.recommended.rules,
  },
  {
    files: ["src/**/*.{ts,tsx}"],
    ignores: ["src/api/**", "src/live/**"],
    rules: {
      "no-restricted-globals": [
        "error",
        { name: "fetch", message: "Requests go through src/api." },
        { name: "WebSocket", message: "Sockets are src/live's." },
        { name: "EventSource", message: "Event streams are src/live's." },
        { name: "localStorage", message: "Only src/theme stores in the browser." },
      ],
    },
  },
  { files: ["src/theme/**", "src/features/settings/**"], rules: { "no-restricted-globals": "off" } },
  { files: ["src/routes/**"], rules: { "max-lines": ["error", { max: 120 }] } },
  { files: ["**/*.{js,mjs}"], ...tseslint.configs.disableTypeChecked },
  { files: ["tools/**", "e2e/**"], rules: { "no-console": "off" } },
  ...folders,
);
