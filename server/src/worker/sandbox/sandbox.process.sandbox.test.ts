import { describeSandbox } from './sandbox.contract.ts'

describeSandbox('process')
