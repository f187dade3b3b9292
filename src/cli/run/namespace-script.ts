/**
 * What `ckpt run --no-container` runs in its new mount namespace: a list of steps, then the
 * command. All values are positional arguments and none is ever part of the text. The steps:
 *
 *     cover DIR              a tmpfs over an existing directory, its entries bound back into it
 *     directory DIR          a missing directory, inside what was covered
 *     bind SOURCE DIR FLAGS  a tree of mounts; with "ro" among the flags, all of it is checked
 *     seal DIR               nothing more can be added to a cover: it would be lost unseen
 *     forget DIR             the namespace's copies of all other jobs' mounts: they would keep
 *                            those jobs from being released
 *     exec COMMAND…          without CAP_SYS_ADMIN, which could make a mount writable again
 *
 * "cd" before the cover keeps hold of what it hides; "mount -c" leaves "./name" as it is, so
 * that the kernel resolves it there. Its own failures end with 125, as those of podman do.
 */
export const NAMESPACE_SCRIPT = `
set -u
fail() {
  printf 'ckpt: %s\\n' "$1" >&2
  exit 125
}
cover() (
  cd -- "$1" || fail "cannot enter $1"
  mode=$(stat -c %a .) && owner=$(stat -c %u:%g .) || fail "cannot read $1"
  mount -t tmpfs -o "mode=$mode" ckpt "$1" || fail "cannot mount over $1"
  chown -- "$owner" "$1" || fail "cannot take over the owner of $1"
  for name in * .[!.]* ..?*; do
    if [ -L "./$name" ]; then
      cp -P -- "./$name" "$1/$name" || fail "cannot copy the link $1/$name"
    elif [ -d "./$name" ]; then
      mkdir -- "$1/$name" && mount -c --rbind "./$name" "$1/$name" || fail "cannot bind $1/$name"
    elif [ -e "./$name" ]; then
      : >"$1/$name" && mount -c --bind "./$name" "$1/$name" || fail "cannot bind $1/$name"
    fi
  done
)
check_read_only() {
  all_flags=$(findmnt -rno VFS-OPTIONS -R --mountpoint "$1") || fail "$1 is not mounted"
  for flags in $all_flags; do
    case ,$flags, in
    *,ro,*) ;;
    *) fail "$1 is not wholly read-only" ;;
    esac
  done
}
while [ "$1" != exec ]; do
  case $1 in
  cover)
    cover "$2" || exit 125
    shift 2
    ;;
  directory)
    mkdir -p -- "$2" || fail "cannot make $2"
    shift 2
    ;;
  bind)
    mount --rbind -- "$2" "$3" || fail "cannot bind $3"
    [ -z "$4" ] || mount -o "remount,bind,$4" -- "$3" || fail "cannot set $4 on $3"
    case ,$4, in
    *,ro,*) check_read_only "$3" ;;
    esac
    shift 4
    ;;
  seal)
    mount -o remount,bind,ro -- "$2" || fail "cannot seal $2"
    shift 2
    ;;
  forget)
    if mountpoint -q -- "$2"; then
      umount -l -- "$2" || fail "cannot let go of $2"
    fi
    shift 2
    ;;
  *)
    fail "unknown step $1"
    ;;
  esac
done
shift
exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin -- "$@"
`
