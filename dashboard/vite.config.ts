import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

// The build is served by the server itself at / under a policy that allows no inline script, style or data: URL, so
// nothing is inlined. `vite dev` talks to a server on its usual port.
export default defineConfig({
  plugins: [react()],
  build: { assetsInlineLimit: 0, modulePreload: { polyfill: false }, reportCompressedSize: false },
  server: { host: '127.0.0.1', proxy: { '/api': 'http://127.0.0.1:8080' } },
})
