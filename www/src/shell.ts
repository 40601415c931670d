import { registerSW } from "virtual:pwa-register";

/** Installs the app shell, so that the next opening needs no network. */
export function installShell(): void {
  registerSW({
    immediate: true,
    // A newer version is there at the next opening. Reloading now would take a half-typed title with it.
    onNeedReload: () => {},
    onRegisterError: (cause: unknown) => console.warn("the board will not start without a network:", cause),
  });
}
