// Writes mails for tests.

/** A mail with a body in the parts given; several make it multipart/mixed. */
export function mail(options: {
  subject: string
  from?: string
  to?: string
  parts: { type: string; body: string; fileName?: string }[]
}): Buffer {
  const boundary = 'part-of-the-mail'
  const part = ({ type, body, fileName }: (typeof options.parts)[number]): string =>
    `Content-Type: ${type}\r\nContent-Transfer-Encoding: base64\r\n${
      fileName === undefined ? '' : `Content-Disposition: attachment; filename="${fileName}"\r\n`
    }\r\n${Buffer.from(body).toString('base64').replaceAll(/.{76}/gu, '$&\r\n')}\r\n`
  const head = [
    `From: ${options.from ?? 'Ada Writer <ada@example.org>'}`,
    `To: ${options.to ?? 'Bob Reader <bob@example.org>'}`,
    `Subject: =?UTF-8?B?${Buffer.from(options.subject).toString('base64')}?=`,
    'Date: Tue, 24 Nov 2026 10:00:00 +0000',
    'MIME-Version: 1.0',
  ].join('\r\n')
  const [first, ...rest] = options.parts
  if (first !== undefined && rest.length === 0) return Buffer.from(`${head}\r\n${part(first)}`)
  const all = options.parts.map((one) => `--${boundary}\r\n${part(one)}`).join('')
  return Buffer.from(
    `${head}\r\nContent-Type: multipart/mixed; boundary="${boundary}"\r\n\r\n${all}--${boundary}--\r\n`,
  )
}

/** Parts inside of parts, `depth` times. */
export function deepMail(depth: number): Buffer {
  let text = 'From: a@example.org\r\nSubject: deep\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n'
  for (let level = 0; level < depth; level += 1)
    text += `Content-Type: multipart/mixed; boundary="level${level}"\r\n\r\n--level${level}\r\n`
  return Buffer.from(`${text}Content-Type: text/plain\r\n\r\nthe innermost text\r\n`)
}
