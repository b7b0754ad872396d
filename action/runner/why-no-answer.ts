import { describeNetworkError, errorChain } from '../../port/client/network-error.ts'
import { UntrustedCertificate } from './fetch.ts'

/** A network failure in short, with what helps where a certificate is not trusted. */
export const whyNoAnswer = (error: unknown): string =>
  errorChain(error).find(each => each instanceof UntrustedCertificate)?.message ?? describeNetworkError(error)
