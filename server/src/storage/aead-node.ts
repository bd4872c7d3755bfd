// By node:crypto: a context, three buffers and a copy for every chunk.

import { createCipheriv, createDecipheriv } from 'node:crypto'
import { releaseBytes } from '../platform/owned-bytes.ts'
import { checkSizes, type Aead } from './aead.ts'

export const nodeAead: Aead = {
  seal(key, nonce, content, target) {
    checkSizes(nonce, content.length, target.length)
    const cipher = createCipheriv('aes-256-gcm', key.object, nonce)
    const encrypted = cipher.update(content)
    encrypted.copy(target)
    releaseBytes(encrypted)
    cipher.final()
    cipher.getAuthTag().copy(target, content.length)
  },
  open(key, nonce, sealed, target) {
    checkSizes(nonce, target.length, sealed.length)
    const decipher = createDecipheriv('aes-256-gcm', key.object, nonce)
    decipher.setAuthTag(sealed.subarray(target.length))
    const content = decipher.update(sealed.subarray(0, target.length))
    try {
      decipher.final()
      content.copy(target)
      return true
    } catch {
      target.fill(0)
      return false
    } finally {
      releaseBytes(content)
    }
  },
}
