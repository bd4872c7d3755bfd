import { useMutation } from '@tanstack/react-query'
import { useId, useState } from 'react'
import { useApi } from '../../api.ts'
import { Logo } from '../../ui/logo.tsx'
import { problemOf } from '../../ui/problem-of.ts'
import { ProblemNotice } from '../../ui/problem-notice.tsx'

type Way = 'password' | 'key'

/** The way in: the login that the server prints, or an API key. */
export function SignInPage({ ended }: { ended: unknown }) {
  const { session } = useApi()
  const [way, setWay] = useState<Way>('password')
  const signIn = useMutation({
    mutationFn: (form: FormData) => {
      const keep = form.has('keep')
      const text = (name: string) => {
        const value = form.get(name)
        return typeof value === 'string' ? value : ''
      }
      return way === 'password'
        ? session.signIn({ email: text('email').trim(), password: text('password'), keep })
        : session.signInWithKey({ key: text('key').trim(), keep })
    },
  })
  const problem = signIn.error ?? (signIn.isPending ? null : ended)

  return (
    <main className="sign-in" id="main">
      <title>Sign in · Millrace</title>
      <form
        className="panel sign-in-card"
        onSubmit={(event) => {
          event.preventDefault()
          signIn.mutate(new FormData(event.currentTarget))
        }}
      >
        <div className="sign-in-head">
          <Logo />
          <h1>Sign in to Millrace</h1>
        </div>
        {problem !== null && <ProblemNotice urgent problem={problemOf(problem)} />}
        {way === 'password' ? <PasswordFields /> : <KeyField />}
        <label className="check">
          <input type="checkbox" name="keep" defaultChecked />
          Stay signed in on this computer
        </label>
        <button type="submit" className="button primary wide" disabled={signIn.isPending}>
          {signIn.isPending ? 'Signing in…' : 'Sign in'}
        </button>
        <button
          type="button"
          className="button quiet wide"
          onClick={() => {
            signIn.reset()
            setWay(way === 'password' ? 'key' : 'password')
          }}
        >
          {way === 'password' ? 'Use an API key instead' : 'Use e-mail and password instead'}
        </button>
      </form>
      <p className="muted sign-in-hint">
        The server prints a login and an API key when it starts for the first time. Later, an admin of your tenant can
        give you one.
      </p>
    </main>
  )
}

function PasswordFields() {
  return (
    <>
      <Field label="E-mail" name="email" type="email" autoComplete="username" />
      <Field label="Password" name="password" type="password" autoComplete="current-password" />
    </>
  )
}

function KeyField() {
  return <Field label="API key" name="key" type="password" autoComplete="off" />
}

function Field(props: { label: string; name: string; type: string; autoComplete: string }) {
  const { label, ...input } = props
  const id = useId()
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input id={id} required maxLength={1_000} spellCheck={false} autoCapitalize="none" {...input} />
    </div>
  )
}
