import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig, type UserConfig } from "vite";

/** Where `npm run dev` sends API calls: the console of a running stack. */
const upstream = process.env["SWITCHYARD_URL"] ?? "http://127.0.0.1:8787";
const proxied = { target: upstream, changeOrigin: false, ws: true };

const config: UserConfig = {
  plugins: [react(), tailwindcss()],
  build: {
    target: "es2022",
    manifest: true,
    sourcemap: false,
    // The policy is `script-src 'self'; img-src 'self' data: blob:; font-src 'self'`: nothing may be inlined as a
    // data address except by hand, and the preload helper needs no polyfill in the browsers that the target names.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            // Changes with an upgrade only, so it stays cached over our own releases.
            { name: "vendor", test: /rolldown\/runtime|node_modules\/(react|react-dom|scheduler|@tanstack\/(react-router|router-core|history|react-query|query-core|react-store|store))\//, priority: 2 },
            // What nearly every page uses: one request instead of one a module. Tables, lists and diffs are left out.
            { name: "base", test: /\/src\/(api|format|keyboard)\/|\/src\/ui\/(?!DataTable|Table|table_|export|Combobox|Diff|diff)/, priority: 1 },
          ],
        },
      },
    },
  },
  // The error reference is read from `docs/`.
  server: { fs: { allow: ["../../.."] }, proxy: { "/api": proxied, "/auth": proxied, "/mcp": proxied } },
};

export default defineConfig(({ command }) => {
  // What is built is what is served, also where a test runner starts the build: with its NODE_ENV React would be the
  // development one, which is slower, larger and talks in the console.
  if (command === "build") process.env["NODE_ENV"] = "production";
  return config;
});
