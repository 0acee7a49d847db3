# The app's one screen: a WebView that shows the site among the assets.

.class public final Lorg/mejiro/shell/PageActivity;
.super Landroid/app/Activity;

.field private static final ASK_CAMERA:I = 0x1
.field private static final CHOOSE_FILE:I = 0x2
.field static final SAVE_FILE:I = 0x3

# What the page asked for while Android asks the user for the camera.
.field private asked:Landroid/webkit/PermissionRequest;

# Whom to tell which file was chosen.
.field private chosen:Landroid/webkit/ValueCallback;

.field private started:Z

.field private view:Landroid/webkit/WebView;


.method public constructor <init>()V
    .registers 1

    invoke-direct {p0}, Landroid/app/Activity;-><init>()V
    return-void
.end method


.method protected onCreate(Landroid/os/Bundle;)V
    .registers 5

    invoke-super {p0, p1}, Landroid/app/Activity;->onCreate(Landroid/os/Bundle;)V

    :try_start
    new-instance v0, Landroid/webkit/WebView;
    invoke-direct {v0, p0}, Landroid/webkit/WebView;-><init>(Landroid/content/Context;)V
    iput-object v0, p0, Lorg/mejiro/shell/PageActivity;->view:Landroid/webkit/WebView;
    :try_end
    .catch Ljava/lang/RuntimeException; {:try_start .. :try_end} :no_webview

    invoke-direct {p0}, Lorg/mejiro/shell/PageActivity;->prepare()V

    # Below Android 15 the system keeps the window off its bars; from there on this frame does.
    new-instance v1, Landroid/widget/FrameLayout;
    invoke-direct {v1, p0}, Landroid/widget/FrameLayout;-><init>(Landroid/content/Context;)V
    const/4 v2, 0x1
    invoke-virtual {v1, v2}, Landroid/view/View;->setFitsSystemWindows(Z)V
    invoke-virtual {v1, v0}, Landroid/view/ViewGroup;->addView(Landroid/view/View;)V
    invoke-virtual {p0, v1}, Landroid/app/Activity;->setContentView(Landroid/view/View;)V

    sget v1, Landroid/os/Build$VERSION;->SDK_INT:I
    const/16 v2, 0x21
    if-lt v1, v2, :ask
    invoke-static {p0}, Lorg/mejiro/shell/BackCallback;->register(Lorg/mejiro/shell/PageActivity;)V

    # The page comes after the answer, whatever it is: asked for the camera before, a WebView refuses.
    :ask
    invoke-virtual {p0}, Lorg/mejiro/shell/PageActivity;->hasCamera()Z
    move-result v1
    if-eqz v1, :request
    invoke-direct {p0}, Lorg/mejiro/shell/PageActivity;->load()V
    return-void

    :request
    invoke-direct {p0}, Lorg/mejiro/shell/PageActivity;->requestCamera()V
    return-void

    :no_webview
    move-exception v0
    const v1, 0x7f030000
    invoke-virtual {p0, v1}, Lorg/mejiro/shell/PageActivity;->tell(I)V
    invoke-virtual {p0}, Landroid/app/Activity;->finish()V
    return-void
.end method


.method private prepare()V
    .registers 5

    iget-object v0, p0, Lorg/mejiro/shell/PageActivity;->view:Landroid/webkit/WebView;
    invoke-virtual {v0}, Landroid/webkit/WebView;->getSettings()Landroid/webkit/WebSettings;
    move-result-object v1
    const/4 v2, 0x1
    const/4 v3, 0x0
    invoke-virtual {v1, v2}, Landroid/webkit/WebSettings;->setJavaScriptEnabled(Z)V
    invoke-virtual {v1, v2}, Landroid/webkit/WebSettings;->setDomStorageEnabled(Z)V
    invoke-virtual {v1, v2}, Landroid/webkit/WebSettings;->setUseWideViewPort(Z)V
    invoke-virtual {v1, v3}, Landroid/webkit/WebSettings;->setMediaPlaybackRequiresUserGesture(Z)V
    invoke-virtual {v1, v3}, Landroid/webkit/WebSettings;->setAllowFileAccess(Z)V
    invoke-virtual {v1, v3}, Landroid/webkit/WebSettings;->setGeolocationEnabled(Z)V

    # Nothing white before the page is there: the window's own colour shows through.
    invoke-virtual {v0, v3}, Landroid/webkit/WebView;->setBackgroundColor(I)V

    new-instance v1, Lorg/mejiro/shell/SiteClient;
    invoke-direct {v1, p0}, Lorg/mejiro/shell/SiteClient;-><init>(Lorg/mejiro/shell/PageActivity;)V
    invoke-virtual {v0, v1}, Landroid/webkit/WebView;->setWebViewClient(Landroid/webkit/WebViewClient;)V

    invoke-static {p0}, Lorg/mejiro/shell/WorkerClient;->register(Landroid/content/Context;)V

    new-instance v1, Lorg/mejiro/shell/PageClient;
    invoke-direct {v1, p0}, Lorg/mejiro/shell/PageClient;-><init>(Lorg/mejiro/shell/PageActivity;)V
    invoke-virtual {v0, v1}, Landroid/webkit/WebView;->setWebChromeClient(Landroid/webkit/WebChromeClient;)V

    new-instance v1, Lorg/mejiro/shell/Saver;
    invoke-direct {v1, p0, v0}, Lorg/mejiro/shell/Saver;-><init>(Lorg/mejiro/shell/PageActivity;Landroid/webkit/WebView;)V
    invoke-virtual {v0, v1}, Landroid/webkit/WebView;->setDownloadListener(Landroid/webkit/DownloadListener;)V
    return-void
.end method


.method private load()V
    .registers 3

    iget-boolean v0, p0, Lorg/mejiro/shell/PageActivity;->started:Z
    if-nez v0, :done
    iget-object v0, p0, Lorg/mejiro/shell/PageActivity;->view:Landroid/webkit/WebView;
    if-eqz v0, :done
    const/4 v1, 0x1
    iput-boolean v1, p0, Lorg/mejiro/shell/PageActivity;->started:Z
    const-string v1, "https://appassets.androidplatform.net/"
    invoke-virtual {v0, v1}, Landroid/webkit/WebView;->loadUrl(Ljava/lang/String;)V

    :done
    return-void
.end method


# The camera: what the user grants this app, and this app the page.

.method hasCamera()Z
    .registers 3

    const-string v0, "android.permission.CAMERA"
    invoke-virtual {p0, v0}, Landroid/content/Context;->checkSelfPermission(Ljava/lang/String;)I
    move-result v0
    const/4 v1, 0x0
    if-nez v0, :done
    const/4 v1, 0x1

    :done
    return v1
.end method


.method private requestCamera()V
    .registers 4

    const/4 v0, 0x1
    new-array v1, v0, [Ljava/lang/String;
    const/4 v0, 0x0
    const-string v2, "android.permission.CAMERA"
    aput-object v2, v1, v0
    const/4 v0, 0x1
    invoke-virtual {p0, v1, v0}, Landroid/app/Activity;->requestPermissions([Ljava/lang/String;I)V
    return-void
.end method


.method public onRequestPermissionsResult(I[Ljava/lang/String;[I)V
    .registers 5

    invoke-direct {p0}, Lorg/mejiro/shell/PageActivity;->load()V
    invoke-direct {p0}, Lorg/mejiro/shell/PageActivity;->answer()V
    return-void
.end method


# Take the page's request for the camera; the user is asked again if the app may not use it.
.method takeRequest(Landroid/webkit/PermissionRequest;)V
    .registers 3

    iget-object v0, p0, Lorg/mejiro/shell/PageActivity;->asked:Landroid/webkit/PermissionRequest;
    if-eqz v0, :free
    invoke-virtual {p1}, Landroid/webkit/PermissionRequest;->deny()V
    return-void

    :free
    iput-object p1, p0, Lorg/mejiro/shell/PageActivity;->asked:Landroid/webkit/PermissionRequest;
    invoke-virtual {p0}, Lorg/mejiro/shell/PageActivity;->hasCamera()Z
    move-result v0
    if-eqz v0, :request
    invoke-direct {p0}, Lorg/mejiro/shell/PageActivity;->answer()V
    return-void

    :request
    invoke-direct {p0}, Lorg/mejiro/shell/PageActivity;->requestCamera()V
    return-void
.end method


.method dropRequest(Landroid/webkit/PermissionRequest;)V
    .registers 3

    iget-object v0, p0, Lorg/mejiro/shell/PageActivity;->asked:Landroid/webkit/PermissionRequest;
    if-ne v0, p1, :done
    const/4 v0, 0x0
    iput-object v0, p0, Lorg/mejiro/shell/PageActivity;->asked:Landroid/webkit/PermissionRequest;

    :done
    return-void
.end method


.method private answer()V
    .registers 5

    iget-object v0, p0, Lorg/mejiro/shell/PageActivity;->asked:Landroid/webkit/PermissionRequest;
    if-eqz v0, :done
    const/4 v1, 0x0
    iput-object v1, p0, Lorg/mejiro/shell/PageActivity;->asked:Landroid/webkit/PermissionRequest;
    invoke-virtual {p0}, Lorg/mejiro/shell/PageActivity;->hasCamera()Z
    move-result v1
    if-eqz v1, :deny

    # The camera and nothing else; who asked for more with it gets nothing, by PermissionRequest.
    const/4 v1, 0x1
    new-array v1, v1, [Ljava/lang/String;
    const/4 v2, 0x0
    const-string v3, "android.webkit.resource.VIDEO_CAPTURE"
    aput-object v3, v1, v2
    invoke-virtual {v0, v1}, Landroid/webkit/PermissionRequest;->grant([Ljava/lang/String;)V
    return-void

    :deny
    invoke-virtual {v0}, Landroid/webkit/PermissionRequest;->deny()V

    :done
    return-void
.end method


# Files: one to open, one to save.

# Return whether the user is being asked for a picture or a video; if so, `callback` is told.
.method choose(Landroid/webkit/ValueCallback;)Z
    .registers 7

    iget-object v0, p0, Lorg/mejiro/shell/PageActivity;->chosen:Landroid/webkit/ValueCallback;
    if-eqz v0, :free
    const/4 v1, 0x0
    invoke-interface {v0, v1}, Landroid/webkit/ValueCallback;->onReceiveValue(Ljava/lang/Object;)V

    :free
    iput-object p1, p0, Lorg/mejiro/shell/PageActivity;->chosen:Landroid/webkit/ValueCallback;
    new-instance v0, Landroid/content/Intent;
    const-string v1, "android.intent.action.GET_CONTENT"
    invoke-direct {v0, v1}, Landroid/content/Intent;-><init>(Ljava/lang/String;)V
    const-string v1, "android.intent.category.OPENABLE"
    invoke-virtual {v0, v1}, Landroid/content/Intent;->addCategory(Ljava/lang/String;)Landroid/content/Intent;
    const-string v1, "*/*"
    invoke-virtual {v0, v1}, Landroid/content/Intent;->setType(Ljava/lang/String;)Landroid/content/Intent;
    const/4 v1, 0x2
    new-array v1, v1, [Ljava/lang/String;
    const/4 v2, 0x0
    const-string v3, "image/*"
    aput-object v3, v1, v2
    const/4 v2, 0x1
    const-string v3, "video/*"
    aput-object v3, v1, v2
    const-string v2, "android.intent.extra.MIME_TYPES"
    invoke-virtual {v0, v2, v1}, Landroid/content/Intent;->putExtra(Ljava/lang/String;[Ljava/lang/String;)Landroid/content/Intent;

    :try_start
    const/4 v1, 0x2
    invoke-virtual {p0, v0, v1}, Landroid/app/Activity;->startActivityForResult(Landroid/content/Intent;I)V
    :try_end
    .catch Landroid/content/ActivityNotFoundException; {:try_start .. :try_end} :nobody

    const/4 v0, 0x1
    return v0

    :nobody
    move-exception v0
    const/4 v0, 0x0
    iput-object v0, p0, Lorg/mejiro/shell/PageActivity;->chosen:Landroid/webkit/ValueCallback;
    const/4 v0, 0x0
    return v0
.end method


.method protected onActivityResult(IILandroid/content/Intent;)V
    .registers 7

    const/4 v0, 0x2
    if-ne p1, v0, :saved
    iget-object v0, p0, Lorg/mejiro/shell/PageActivity;->chosen:Landroid/webkit/ValueCallback;
    if-eqz v0, :done
    const/4 v1, 0x0
    iput-object v1, p0, Lorg/mejiro/shell/PageActivity;->chosen:Landroid/webkit/ValueCallback;
    invoke-static {p2, p3}, Landroid/webkit/WebChromeClient$FileChooserParams;->parseResult(ILandroid/content/Intent;)[Landroid/net/Uri;
    move-result-object v1
    invoke-interface {v0, v1}, Landroid/webkit/ValueCallback;->onReceiveValue(Ljava/lang/Object;)V
    return-void

    :saved
    const/4 v0, 0x3
    if-ne p1, v0, :done
    const/4 v0, -0x1
    if-ne p2, v0, :done
    if-eqz p3, :done
    invoke-virtual {p3}, Landroid/content/Intent;->getData()Landroid/net/Uri;
    move-result-object v0
    if-eqz v0, :done
    invoke-static {p0, v0}, Lorg/mejiro/shell/Saver;->write(Lorg/mejiro/shell/PageActivity;Landroid/net/Uri;)V

    :done
    return-void
.end method


.method tell(I)V
    .registers 4

    const/4 v0, 0x1
    invoke-static {p0, p1, v0}, Landroid/widget/Toast;->makeText(Landroid/content/Context;II)Landroid/widget/Toast;
    move-result-object v0
    invoke-virtual {v0}, Landroid/widget/Toast;->show()V
    return-void
.end method


# Back: within the site as long as there is something to go back to; then out, with the model loaded.
.method public onBackPressed()V
    .registers 3

    iget-object v0, p0, Lorg/mejiro/shell/PageActivity;->view:Landroid/webkit/WebView;
    if-eqz v0, :leave
    invoke-virtual {v0}, Landroid/webkit/WebView;->canGoBack()Z
    move-result v1
    if-eqz v1, :leave
    invoke-virtual {v0}, Landroid/webkit/WebView;->goBack()V
    return-void

    :leave
    const/4 v0, 0x1
    invoke-virtual {p0, v0}, Landroid/app/Activity;->moveTaskToBack(Z)Z
    return-void
.end method


.method protected onPause()V
    .registers 2

    iget-object v0, p0, Lorg/mejiro/shell/PageActivity;->view:Landroid/webkit/WebView;
    if-eqz v0, :done
    invoke-virtual {v0}, Landroid/webkit/WebView;->onPause()V

    :done
    invoke-super {p0}, Landroid/app/Activity;->onPause()V
    return-void
.end method


.method protected onResume()V
    .registers 2

    invoke-super {p0}, Landroid/app/Activity;->onResume()V
    iget-object v0, p0, Lorg/mejiro/shell/PageActivity;->view:Landroid/webkit/WebView;
    if-eqz v0, :done
    invoke-virtual {v0}, Landroid/webkit/WebView;->onResume()V

    :done
    return-void
.end method


.method protected onDestroy()V
    .registers 3

    iget-object v0, p0, Lorg/mejiro/shell/PageActivity;->view:Landroid/webkit/WebView;
    if-eqz v0, :done
    invoke-virtual {v0}, Landroid/webkit/WebView;->getParent()Landroid/view/ViewParent;
    move-result-object v1
    check-cast v1, Landroid/view/ViewGroup;
    if-eqz v1, :destroy
    invoke-virtual {v1, v0}, Landroid/view/ViewGroup;->removeView(Landroid/view/View;)V

    :destroy
    invoke-virtual {v0}, Landroid/webkit/WebView;->destroy()V
    const/4 v0, 0x0
    iput-object v0, p0, Lorg/mejiro/shell/PageActivity;->view:Landroid/webkit/WebView;

    :done
    invoke-super {p0}, Landroid/app/Activity;->onDestroy()V
    return-void
.end method
