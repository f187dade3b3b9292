import { describe, expect, test } from 'vitest'
import { createAddressGuard } from '../../src/sources/address-guard.ts'

const REFUSED = [
  '0.0.0.0',
  '0.1.2.3',
  '10.0.0.1',
  '100.64.0.1',
  '100.100.100.200',
  '100.127.255.255',
  '127.0.0.1',
  '127.255.255.254',
  '168.63.129.16',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.192',
  '192.168.1.1',
  '198.18.0.1',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::127.0.0.1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::ffff:169.254.169.254',
  '::ffff:0:10.0.0.1',
  '64:ff9b::127.0.0.1',
  '64:ff9b::a9fe:a9fe',
  '64:ff9b:1::1',
  '2002:7f00:1::',
  '2002:a9fe:a9fe::1',
  '2001:0:7f00:1::',
  '2001:0:808:808::80ff:fffe',
  'fc00::1',
  'fd00:ec2::254',
  'fe80::1',
  'fe80::1%eth0',
  'febf::1',
  'fec0::1',
  'ff02::1',
  '100::1',
  '2001:db8::1',
  '3fff::1',
  '5f00::1',
  'e000::1',
  '',
  'localhost',
  '1.2.3',
]
const ACCEPTED = [
  '8.8.8.8',
  '1.1.1.1',
  '100.63.255.255',
  '100.128.0.0',
  '172.15.255.255',
  '172.32.0.0',
  '192.167.255.255',
  '198.17.255.255',
  '223.255.255.255',
  '2606:4700::1111',
  '2a00:1450:4001::200e',
  '::ffff:8.8.8.8',
  '64:ff9b::8.8.8.8',
  '2002:808:808::1',
]

describe('an address guard without exceptions', () => {
  const guard = createAddressGuard([])
  test.each(REFUSED)('refuses %s', (address) => expect(guard.refusal(address)).toBeTypeOf('string'))
  test.each(ACCEPTED)('accepts %s', (address) => expect(guard.refusal(address)).toBeUndefined())

  // What a URL's author can write for a number ends as one of the forms above.
  test.each([
    'http://127.1/',
    'http://2130706433/',
    'http://0x7f000001/',
    'http://0177.0.0.1/',
    'http://0x7f.1/',
    'http://127.0.0.1./',
    'http://①②⑦.⓪.⓪.①/',
    'http://[::ffff:7f00:1]/',
    'http://[0:0:0:0:0:ffff:127.0.0.1]/',
  ])('refuses what the host of %s is read as', (uri) => {
    const { hostname } = new URL(uri)
    expect(guard.refusal(hostname.replace(/^\[|\]$/g, ''))).toBeTypeOf('string')
  })
  test('a zone cannot be written in an address', () => {
    expect(URL.canParse('http://[fe80::1%25eth0]/')).toBe(false)
  })
})

describe('an operator’s list', () => {
  const guard = createAddressGuard(['127.0.0.0/8', '10.1.0.0/16', 'fd00::/8', '192.168.7.7'])
  test.each([
    '127.0.0.1',
    '::ffff:127.0.0.1',
    '64:ff9b::127.0.0.1',
    '10.1.2.3',
    'fd12::1',
    '192.168.7.7',
  ])('allows %s', (address) => expect(guard.refusal(address)).toBeUndefined())
  test.each(['10.2.0.1', '::1', 'fc00::1', '192.168.7.8', '169.254.169.254'])(
    'leaves %s refused',
    (address) => expect(guard.refusal(address)).toBeTypeOf('string'),
  )
  test.each(['10.0.0.0/33', 'x', '10.0.0.0/', '10.0.0.0/8/8', '::/129', '10.0.0/8'])(
    'with %j in it is refused',
    (network) => expect(() => createAddressGuard([network])).toThrow(/no network/),
  )
})
