/* Browsers refuse workers on file://, and the search of the site runs in one: there, run it in a hidden iframe. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      document.body.appendChild(this.frame)
      const inner = this.frame.contentWindow, base = new URL(url, location.href)
      inner.document.open()
      inner.document.write("<!doctype html><html><body></body></html>")
      inner.document.close()
      inner.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      inner.importScripts = (...urls) => urls.reduce((last, each) => last.then(() => load(each)), Promise.resolve())
      const load = source => new Promise(done => {
        const script = inner.document.createElement("script")
        script.src = new URL(source, base)
        script.onload = script.onerror = done
        inner.document.body.appendChild(script)
      })
      this.loaded = load(base)
      this.onmessage = null
      this.addEventListener("message", event => this.onmessage && this.onmessage(event))
    }
    postMessage(data) {
      this.loaded.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })))
    }
    terminate() {
      this.frame.remove()
    }
  }
}
