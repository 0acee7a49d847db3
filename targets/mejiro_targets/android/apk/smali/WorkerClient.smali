# Answer what a service worker asks for, its own code above all, as the page is answered. Without this
# a page that registers one may wait for it for ever; with it, it is told that there is none.

.class final Lorg/mejiro/shell/WorkerClient;
.super Landroid/webkit/ServiceWorkerClient;

.field private final context:Landroid/content/Context;


.method private constructor <init>(Landroid/content/Context;)V
    .registers 2

    invoke-direct {p0}, Landroid/webkit/ServiceWorkerClient;-><init>()V
    iput-object p1, p0, Lorg/mejiro/shell/WorkerClient;->context:Landroid/content/Context;
    return-void
.end method


# For all WebViews of the app, and as long as it runs: it may outlive an activity.
.method static register(Landroid/content/Context;)V
    .registers 3

    invoke-virtual {p0}, Landroid/content/Context;->getApplicationContext()Landroid/content/Context;
    move-result-object v0
    new-instance v1, Lorg/mejiro/shell/WorkerClient;
    invoke-direct {v1, v0}, Lorg/mejiro/shell/WorkerClient;-><init>(Landroid/content/Context;)V
    invoke-static {}, Landroid/webkit/ServiceWorkerController;->getInstance()Landroid/webkit/ServiceWorkerController;
    move-result-object v0
    invoke-virtual {v0, v1}, Landroid/webkit/ServiceWorkerController;->setServiceWorkerClient(Landroid/webkit/ServiceWorkerClient;)V
    return-void
.end method


.method public shouldInterceptRequest(Landroid/webkit/WebResourceRequest;)Landroid/webkit/WebResourceResponse;
    .registers 3

    iget-object v0, p0, Lorg/mejiro/shell/WorkerClient;->context:Landroid/content/Context;
    invoke-static {v0, p1}, Lorg/mejiro/shell/SiteClient;->answer(Landroid/content/Context;Landroid/webkit/WebResourceRequest;)Landroid/webkit/WebResourceResponse;
    move-result-object v0
    return-object v0
.end method
